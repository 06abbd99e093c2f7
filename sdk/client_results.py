"""Client calls for what a task has left behind: console, scalars, plots, artifacts."""

from __future__ import annotations

import json
import operator
import os
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from dray.runtime.answers import ConsolePage, ConsolePiece, Media, Plot, Series
from dray.runtime.codec import from_json
from dray.runtime.models import Artifact
from dray.sdk.transport import Transport, quoted


class ResultCalls:
    """Results; mixed into :class:`dray.sdk.client.Client`."""

    _http: Transport

    def console(
        self,
        task_id: str,
        *,
        after: int | None = None,
        tail_bytes: int | None = None,
        stream: str = "",
        limit_bytes: int | None = None,
    ) -> ConsolePage:
        """Console pieces after a place, or the last ``tail_bytes`` of all.

        ``after`` is ``next`` of an earlier page; ``stream`` is ``stdout``, ``stderr`` or
        ``prepare``, and all of them unless said.
        """
        query = {
            "after": after,
            "tail_bytes": tail_bytes,
            "stream": stream,
            "limit_bytes": limit_bytes,
        }
        answer = self._http.call("GET", f"/tasks/{quoted(task_id)}/console", query=query)
        return from_json(ConsolePage, answer)

    def follow_console(self, task_id: str, *, after: int | None = None) -> Iterator[ConsolePiece]:
        """Console pieces as they are written, until nothing will follow.

        Goes on where it was when the connection is lost.
        """
        path = f"/tasks/{quoted(task_id)}/console/follow"
        with closing(self._http.events(path, query={"after": after})) as events:
            for event in events:
                if event.event == "closed":
                    return
                if event.event == "piece":
                    yield from_json(ConsolePiece, json.loads(event.data))

    def console_raw(
        self,
        task_id: str,
        *,
        stream: str = "stdout",
        epoch: int | None = None,
        start: int | None = None,
        end: int | None = None,
    ) -> Iterator[bytes]:
        """The bytes of one stream as the process wrote them, in blocks.

        Of the latest attempt unless ``epoch`` is given; from byte ``start`` up to, and
        without, byte ``end``.
        """
        headers = None
        if start is not None or end is not None:
            last = "" if end is None else str(end - 1)
            headers = {"Range": f"bytes={start or 0}-{last}"}
        path = f"/tasks/{quoted(task_id)}/console/raw"
        query = {"epoch": epoch, "stream": stream}
        return self._http.download(path, query=query, headers=headers)

    def scalars(
        self, task_id: str, *, title: str = "", series: str = "", max_points: int = 1000
    ) -> dict[str, dict[str, Series]]:
        """Points by title and series, each thinned to at most ``max_points``."""
        query = {"title": title, "series": series, "max_points": max_points}
        answer = self._http.call("GET", f"/tasks/{quoted(task_id)}/scalars", query=query)
        return {
            title: {name: _series(points) for name, points in by_name.items()}
            for title, by_name in answer.items()
        }

    def points(self, task_id: str, title: str, series: str) -> Series:
        """Every point of one series, by iteration; of one iteration as they arrived."""
        path, query = f"/tasks/{quoted(task_id)}/points", {"title": title, "series": series}
        found: list[tuple[int, float, float]] = []
        cursor: str | None = None
        while True:
            answer = self._http.call("GET", path, query={**query, "cursor": cursor})
            page = _series(answer)
            found += zip(page.iterations, page.values, page.times, strict=True)
            cursor = answer["next_cursor"]
            if cursor is None:
                break
        found.sort(key=operator.itemgetter(0))
        return Series([p[0] for p in found], [p[1] for p in found], [p[2] for p in found])

    def plots(
        self,
        task_id: str,
        *,
        title: str = "",
        series: str = "",
        max_iterations: int | None = None,
    ) -> list[Plot]:
        """Reported tables, matrices and figures, the latest iterations first.

        Args:
            task_id: whole id.
            title: of one chart only.
            series: of one series only.
            max_iterations: so many of the latest iterations of each series; None: all.
        """
        query = {"title": title, "series": series, "max_iterations": max_iterations}
        path = f"/tasks/{quoted(task_id)}/plots"
        return [from_json(Plot, plot) for plot in self._all(path, query)]

    def media(
        self,
        task_id: str,
        *,
        title: str = "",
        series: str = "",
        max_iterations: int | None = None,
    ) -> list[Media]:
        """Debug samples, the latest iterations first; see :meth:`plots` for the arguments."""
        query = {"title": title, "series": series, "max_iterations": max_iterations, "limit": 500}
        path = f"/tasks/{quoted(task_id)}/media"
        return [from_json(Media, one) for one in self._all(path, query)]

    def report(self, task_id: str, lines: bytes) -> None:
        """Report about a task from outside its run.

        Args:
            task_id: whole id.
            lines: records, one a line, as in a spool; blobs of media are uploaded already.

        Raises:
            NotEditable: the task is published.
            InvalidInput: a line that is no scalar, single, text, plot or media record.
        """
        self._http.call("POST", f"/tasks/{quoted(task_id)}/reports", lines)

    def offsets(self, task_id: str, epoch: int) -> dict[str, int]:
        """Bytes of each stream of an attempt that the server has."""
        return self._http.call("GET", f"/tasks/{quoted(task_id)}/attempts/{epoch}/offsets")

    def _all(self, path: str, query: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The items of every page."""
        cursor: str | None = None
        while True:
            answer = self._http.call("GET", path, query={**query, "cursor": cursor})
            yield from answer["items"]
            cursor = answer["next_cursor"]
            if cursor is None:
                return

    def artifacts(self, task_id: str) -> list[Artifact]:
        """The task's named outputs."""
        answer = self._http.call("GET", f"/tasks/{quoted(task_id)}/artifacts")
        return [from_json(Artifact, artifact) for artifact in answer["items"]]

    def artifact(self, task_id: str, name: str) -> Artifact:
        """One named output."""
        path = f"/tasks/{quoted(task_id)}/artifacts/{quoted(name)}"
        return from_json(Artifact, self._http.call("GET", path))

    def put_artifact(self, task_id: str, members: Mapping[str, Any]) -> None:
        """Add an artifact to a task from outside its run, its bytes being uploaded already.

        ``members`` are those of ``models.Artifact``.

        Raises:
            NotEditable: the task is published.
        """
        body = {key: value for key, value in members.items() if key != "name"}
        path = f"/tasks/{quoted(task_id)}/artifacts/{quoted(str(members['name']))}"
        self._http.call("PUT", path, body)

    def delete_artifact(self, task_id: str, name: str) -> Artifact:
        """Forget an artifact; what it was.

        Raises:
            NotFound: there is none of that name.
            NotEditable: the task is published.
        """
        path = f"/tasks/{quoted(task_id)}/artifacts/{quoted(name)}"
        return from_json(Artifact, self._http.call("DELETE", path))

    def artifact_content(self, task_id: str, name: str) -> bytes:
        """The bytes of an artifact that fits in memory."""
        path = f"/tasks/{quoted(task_id)}/artifacts/{quoted(name)}/content"
        return b"".join(self._http.download(path))

    def download_artifact(self, task_id: str, name: str, to: Path) -> Path:
        """Fetch an artifact into the file ``to``, which appears only whole."""
        path = f"/tasks/{quoted(task_id)}/artifacts/{quoted(name)}/content"
        aside = to.with_name(f".{to.name}.{os.getpid()}.part")
        try:
            with aside.open("wb") as file:
                for block in self._http.download(path):
                    file.write(block)
            aside.replace(to)
        finally:
            aside.unlink(missing_ok=True)
        return to


def _series(points: dict[str, Any]) -> Series:
    # JSON has no NaN: the server sends it as null, or as the word.
    values = [float("nan") if v is None else float(v) for v in points["values"]]
    return Series(
        iterations=[int(i) for i in points["iterations"]],
        values=values,
        times=[float(t) for t in points.get("times", ())],
    )
