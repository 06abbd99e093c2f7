"""Debug samples: what is reported lies in the spool under its hash; its record says what it is."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import pytest

from dray.runtime.errors import UsageError
from dray.sdk.logger import Logger
from dray.sdk.plots import images
from dray.sdk.session import Session
from tests.unit.sdk.conftest import Begin
from tests.unit.sdk.scripts import read_records

numpy: Any = pytest.importorskip("numpy")
pillow: Any = pytest.importorskip("PIL.Image")


@pytest.fixture
def attempt(begin: Begin) -> Session:
    return begin()


@pytest.fixture
def logger(attempt: Session) -> Logger:
    return Logger.of(attempt)


def samples(attempt: Session) -> list[dict[str, Any]]:
    return read_records(Path(attempt.spool), "media")


def kept(attempt: Session, sample: dict[str, Any]) -> bytes:
    data = Path(attempt.spool, "blobs", sample["sha256"]).read_bytes()
    assert hashlib.sha256(data).hexdigest() == sample["sha256"]
    assert len(data) == sample["n_bytes"]
    return data


def pixels(data: bytes) -> Any:
    return numpy.asarray(pillow.open(io.BytesIO(data)))


class Tensor:
    """What is used of a tensor: its way to an array."""

    def __init__(self, array: Any) -> None:
        self._array = array

    def detach(self) -> Tensor:
        return self

    def cpu(self) -> Tensor:
        return self

    def numpy(self) -> Any:
        return self._array


GREY = numpy.arange(12, dtype="uint8").reshape(3, 4)
COLOURS = numpy.arange(36, dtype="uint8").reshape(3, 4, 3)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (GREY, GREY),
        (GREY[:, :, None], GREY),
        (COLOURS, COLOURS),
        (COLOURS[:, ::-1], COLOURS[:, ::-1]),
        (numpy.dstack([COLOURS, GREY]), numpy.dstack([COLOURS, GREY])),
        (Tensor(COLOURS.transpose(2, 0, 1)), COLOURS),
        (GREY > 5, (GREY > 5) * 255),
        (GREY / 255, (GREY / 255 * 255).astype("uint8")),
        (GREY.astype("int64") * 100 - 10, numpy.clip(GREY.astype(int) * 100 - 10, 0, 255)),
        (GREY.astype("uint16") * 256, GREY),
        (numpy.array([[numpy.nan, 0.5], [numpy.inf, -1.0]]), [[0, 0], [255, 0]]),
        (pillow.fromarray(COLOURS), COLOURS),
    ],
)
@pytest.mark.parametrize("has_pillow", [True, False])
def test_an_image_is_kept_without_loss(
    image: Any, expected: Any, has_pillow: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not has_pillow:
        monkeypatch.setitem(images.sys.modules, "PIL.Image", None)
    data = images.png_of(image)
    monkeypatch.undo()
    assert pixels(data).tolist() == numpy.asarray(expected).tolist()


@pytest.mark.parametrize(
    ("image", "error", "named"),
    [
        (numpy.zeros(3), ValueError, r"shape \(3,\)"),
        (numpy.zeros((2, 3, 5)), ValueError, r"shape \(2, 3, 5\)"),
        (numpy.zeros((0, 3)), ValueError, "shape"),
        (numpy.array([["a"]]), ValueError, "type <U1"),
        ([[1, 2]], TypeError, "got list"),
        ("picture.png", TypeError, "got str"),
    ],
)
def test_what_is_no_image_is_refused(
    attempt: Session, logger: Logger, image: Any, error: type[Exception], named: str
) -> None:
    with pytest.raises(error, match=named):
        logger.report_image("t", "s", 1, image=image)
    assert samples(attempt) == []


def test_a_sample_says_what_it_is(attempt: Session, logger: Logger) -> None:
    attempt.initial_iteration = 100
    logger.report_image("in/puts", "fir st", 3, image=GREY, max_image_history=2)
    (sample,) = samples(attempt)
    assert (pixels(kept(attempt, sample)) == GREY).all()
    assert (sample["title"], sample["series"], sample["i"]) == ("in/puts", "fir st", 103)
    assert (sample["content_type"], sample["history"], sample["uri"]) == ("image/png", 2, "")
    assert sample["filename"] == f"in_puts_fir_st_00000103_{sample['sha256'][:8]}.png"


def test_files_streams_and_addresses(attempt: Session, logger: Logger, tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    path.write_bytes(b"RIFF")
    logger.report_media("sound", "file", 1, local_path=path)
    half_read = io.BytesIO(b"movie")
    half_read.read()
    logger.report_media("video", "stream", 1, stream=half_read, file_extension="mp4")
    logger.report_media("page", "text", stream=io.StringIO("<p>"), file_extension=".html")
    logger.report_media("page", "there", 2, url="https://example.org/a/page.html?x=1")
    logger.report_image("image", "there", 2, url="s3://bucket/image.jpg")
    logger.report_image("image", "moved", 2, local_path=str(path), delete_after_upload=True)
    found = samples(attempt)
    assert [sample["content_type"] for sample in found] == [
        "audio/x-wav",
        "video/mp4",
        "text/html",
        "text/html",
        "image/jpeg",
        "audio/x-wav",
    ]
    assert [kept(attempt, sample) for sample in found[:3]] == [b"RIFF", b"movie", b"<p>"]
    assert [sample["uri"] for sample in found[3:5]] == [
        "https://example.org/a/page.html?x=1",
        "s3://bucket/image.jpg",
    ]
    assert not path.exists()


@pytest.mark.parametrize(
    ("call", "arguments", "error", "named"),
    [
        ("report_image", {}, UsageError, "got none"),
        ("report_image", {"image": GREY, "url": "u"}, UsageError, "url and image"),
        ("report_media", {}, UsageError, "report_media takes one of"),
        ("report_media", {"stream": io.BytesIO()}, ValueError, "file_extension"),
        ("report_media", {"local_path": "/no/such"}, ValueError, "'/no/such'"),
        ("report_media", {"local_path": "/"}, ValueError, "is no file"),
        ("report_image", {"image": GREY, "iteration": 0.5}, ValueError, "iteration"),
        ("report_media", {"url": 3}, TypeError, "url must be text"),
        ("report_media", {"stream": 3, "file_extension": ".a"}, TypeError, "got int"),
    ],
)
def test_bad_samples_are_refused_by_name(
    attempt: Session,
    logger: Logger,
    call: str,
    arguments: dict[str, Any],
    error: type[Exception],
    named: str,
) -> None:
    with pytest.raises(error, match=named):
        getattr(logger, call)("t", "s", **arguments)
    assert samples(attempt) == []


def test_a_series_must_be_text(attempt: Session, logger: Logger) -> None:
    with pytest.raises(TypeError, match=r"series must be text, got 3"):
        logger.report_image("t", 3, image=GREY)  # type: ignore[arg-type]
    assert samples(attempt) == []


def test_samples_go_where_outputs_go_unless_said_otherwise(
    attempt: Session, logger: Logger, tmp_path: Path
) -> None:
    assert logger.get_default_upload_destination() == ""
    attempt.task["execution"] = {"output_uri": "s3://bucket/all"}
    logger.report_image("t", "s", 1, image=GREY)
    logger.set_default_upload_destination(f"file://{tmp_path}/samples")
    logger.report_image("t", "s", 2, image=GREY)
    assert logger.get_default_upload_destination() == f"file://{tmp_path}/samples"
    first, second = samples(attempt)
    inner = f"{attempt.task['project']}/{attempt.task['name']}.{attempt.task_id}/metrics/t"
    assert first["uri"] == f"s3://bucket/all/{inner}/{first['filename']}"
    assert second["uri"] == f"file://{tmp_path}/samples/{inner}/{second['filename']}"
    kept(attempt, first)
    with pytest.raises(ValueError, match="tape"):
        logger.set_default_upload_destination("tape://drive")


def test_how_many_samples_stay_is_the_scripts_choice(attempt: Session, logger: Logger) -> None:
    assert logger.get_default_debug_sample_history() == 100
    logger.report_image("t", "s", 1, image=GREY)
    logger.set_default_debug_sample_history(7)
    logger.report_image("t", "s", 2, image=GREY)
    logger.report_image("t", "s", 3, image=GREY, max_image_history=-1)
    assert [sample.get("history") for sample in samples(attempt)] == [None, 7, -1]
