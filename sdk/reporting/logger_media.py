"""The part of ``Logger`` that reports debug samples: images, sound, video, pages.

Part of the child's path: what handles files is imported by the first sample.
"""

from __future__ import annotations

from dray.runtime.errors import InvalidInput, WrongType
from dray.sdk.light import TYPE_CHECKING

if TYPE_CHECKING:
    import os
    from typing import Any

    from dray.sdk.session import Session

#: Samples of a title and series that stay, unless a script says otherwise.
_HISTORY = 100


class MediaReports:
    """Samples are kept in the spool when a call returns; another process uploads them."""

    _attempt: Session

    def report_image(
        self,
        title: str,
        series: str,
        iteration: int | None = None,
        local_path: str | os.PathLike[str] | None = None,
        image: Any = None,
        matrix: Any = None,
        max_image_history: int | None = None,
        delete_after_upload: bool = False,
        url: str | None = None,
    ) -> None:
        """Keep an image as a debug sample; one held in memory as a PNG file.

        Args:
            title: of the sample.
            series: of the sample.
            iteration: step it belongs to; None is 0.
            local_path: a file.
            image: a NumPy array or tensor of height x width (x channels), bytes or floats of 0
                to 1, or an image of Pillow. Any: none of these libraries is Dray's.
            matrix: the old name of ``image``.
            max_image_history: newest samples of the title and series that stay; below 0: all.
                None: see :meth:`set_default_debug_sample_history`.
            delete_after_upload: the file is removed, as soon as it is kept.
            url: an image that lies elsewhere; it is registered and not fetched.

        Raises:
            UsageError: not exactly one of the four sources is given.
            TypeError: an argument of another type.
            ValueError: a file that is not there, an array of another shape.
        """
        from dray.sdk.plots import images
        from dray.sdk.plots.reports import one_of
        from dray.sdk.reporting import media

        one_of(
            "report_image",
            local_path=local_path or None,
            url=url or None,
            image=image,
            matrix=matrix,
        )
        keep = self._history("max_image_history", max_image_history)
        place = (self._attempt, title, series, iteration)
        if url:
            media.put_url(*place, url, max_history=keep)
        elif local_path:
            media.put_file(*place, local_path, max_history=keep, may_move=delete_after_upload)
        else:
            data = images.png_of(matrix if image is None else image)
            media.put_bytes(*place, data, ".png", max_history=keep)

    def report_media(
        self,
        title: str,
        series: str,
        iteration: int | None = None,
        local_path: str | os.PathLike[str] | None = None,
        stream: Any = None,
        file_extension: str | None = None,
        max_history: int | None = None,
        delete_after_upload: bool = False,
        url: str | None = None,
    ) -> None:
        """Keep a file of any kind as a debug sample: sound, video, an image, a page.

        Args:
            title: of the sample.
            series: of the sample.
            iteration: step it belongs to; None is 0.
            local_path: the file.
            stream: an open file of bytes or text, such as ``BytesIO``, instead; it is read from
                its beginning where it can go back there.
            file_extension: of what ``stream`` gives, such as ``.wav``.
            max_history: newest samples of the title and series that stay; below 0: all.
                None: see :meth:`set_default_debug_sample_history`.
            delete_after_upload: the file is removed, as soon as it is kept.
            url: something that lies elsewhere; it is registered and not fetched.

        Raises:
            UsageError: not exactly one of the three sources is given.
            TypeError: an argument of another type.
            ValueError: a file that is not there, a stream without ``file_extension``.
        """
        from dray.sdk.plots.reports import one_of
        from dray.sdk.reporting import media

        one_of("report_media", local_path=local_path or None, url=url or None, stream=stream)
        keep = self._history("max_history", max_history)
        place = (self._attempt, title, series, iteration)
        if url:
            media.put_url(*place, url, max_history=keep)
        elif local_path:
            media.put_file(*place, local_path, max_history=keep, may_move=delete_after_upload)
        elif not file_extension:
            raise InvalidInput(
                "file_extension is needed with a stream, such as '.wav': it tells what it holds",
                field="file_extension",
            )
        else:
            media.put_bytes(*place, _bytes_of(stream), file_extension, max_history=keep)

    def report_image_and_upload(
        self,
        title: str,
        series: str,
        iteration: int | None = None,
        path: str | os.PathLike[str] | None = None,
        matrix: Any = None,
        max_image_history: int | None = None,
        delete_after_upload: bool = False,
    ) -> None:
        """The same as :meth:`report_image`, by its old name."""
        self.report_image(
            title,
            series,
            iteration,
            local_path=path,
            image=matrix,
            max_image_history=max_image_history,
            delete_after_upload=delete_after_upload,
        )

    def set_default_upload_destination(self, uri: str) -> None:
        """Upload debug samples to ``uri`` from now on, such as ``s3://bucket/folder``.

        Without it they go where the task's ``output_uri`` says, and otherwise to the server. The
        process that ships the run uploads them, with the credentials of its own surroundings.

        Args:
            uri: an address or a folder; True or an empty text for the server's store.

        Raises:
            TypeError: it is no text.
            ValueError: an unknown kind of storage, a folder that cannot be written.
        """
        from dray.sdk.storage import destinations

        self._attempt.media_uri = destinations.checked(uri, is_remote=self._attempt.is_remote)

    def get_default_upload_destination(self) -> str:
        """Where debug samples are uploaded to; empty for the server's own store."""
        from dray.sdk.reporting import media

        return media.destination(self._attempt)

    def set_default_debug_sample_history(self, max_history: int) -> None:
        """Keep so many samples of a title and series where a call says nothing; below 0: all.

        Raises:
            TypeError: it is no number.
            ValueError: it is not a whole one.
        """
        from dray.sdk.plots.plain import whole

        self._attempt.media_history = whole("max_history", max_history)

    def get_default_debug_sample_history(self) -> int:
        """How many samples of a title and series stay where a call says nothing: 100."""
        history = self._attempt.media_history
        return _HISTORY if history is None else history

    def _history(self, name: str, asked: int | None) -> int | None:
        if asked is None:
            return self._attempt.media_history
        from dray.sdk.plots.plain import whole

        return whole(name, asked)


def _bytes_of(stream: Any) -> bytes:
    read = getattr(stream, "getvalue", None) or getattr(stream, "read", None)
    if not callable(read):
        raise WrongType(
            f"stream must be an open file or BytesIO, got {type(stream).__name__}", field="stream"
        )
    if not hasattr(stream, "getvalue") and callable(getattr(stream, "seek", None)):
        seekable = getattr(stream, "seekable", None)
        if not callable(seekable) or seekable():  # of a pipe, what is left of it
            stream.seek(0)
    data: Any = read()
    if isinstance(data, str):
        return data.encode()
    if not isinstance(data, bytes):
        raise WrongType(f"stream gives {type(data).__name__}, expected bytes", field="stream")
    return data
