"""Lines of records to what they change: results beside facts of the task."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, cast

import msgspec

from dray.runtime import codec
from dray.runtime.errors import InvalidInput
from dray.runtime.execution import Execution
from dray.runtime.ids import is_id
from dray.runtime.models import Artifact, ConfigObject, Parameter
from dray.runtime.resources import check
from dray.runtime.store import model_records
from dray.runtime.store.media import HISTORY, Sample
from dray.runtime.store.model_records import ModelNews
from dray.runtime.store.results import Batch
from dray.runtime.store.series import Points
from dray.runtime.store.task_edit import merged_execution

#: SQLite's integers have 64 bits.
_INTEGER_LIMIT = 1 << 63
#: A preview is text for a page; the whole is in the blob.
_PREVIEW_LIMIT = 64 << 10
#: Kinds of reports that can be a model's as well as a task's.
_OF_MODELS = frozenset({"scalar", "single", "plot"})
#: Of a line that cannot be used, what the audit shows.
_SAMPLE_LENGTH = 200
#: NaN and Infinity become text: float() reads it where a number is expected, and elsewhere (data
#: of a plot) it can be answered as JSON. Made once, because json.loads would make one a line.
_DECODER = json.JSONDecoder(parse_constant=str)


@dataclass
class Facts:
    """What records say about their task; the last word on a name stays.

    Attributes:
        parameters: None for one that is to go; likewise configuration and properties.
        models: in order; each says a part.
        tags: tag → whether it is to be there.
    """

    artifacts: dict[str, Artifact] = field(default_factory=dict[str, Artifact])
    models: list[ModelNews] = field(default_factory=list[ModelNews])
    parameters: dict[str, Parameter | None] = field(default_factory=dict[str, "Parameter | None"])
    configuration: dict[str, ConfigObject | None] = field(
        default_factory=dict[str, "ConfigObject | None"]
    )
    properties: dict[str, str | None] = field(default_factory=dict[str, "str | None"])
    runtime: dict[str, str] = field(default_factory=dict[str, str])
    execution: dict[str, Any] = field(default_factory=dict[str, Any])
    tags: dict[str, bool] = field(default_factory=dict[str, bool])
    labels: dict[str, int] | None = None
    comment: str | None = None
    progress: float | None = None

    def __bool__(self) -> bool:
        return self != Facts()

    @property
    def has_documents(self) -> bool:
        """Whether something of it is kept in a JSON column of the task."""
        documents = (self.parameters, self.configuration, self.properties, self.runtime)
        return any(documents) or bool(self.execution)


@dataclass
class Parsed:
    """Everything that whole lines said.

    Attributes:
        batch: results of the task.
        of_models: results of models by their ids.
        n_malformed: lines that could not be used.
        sample: the beginning of the first of them, and why.
    """

    facts: Facts = field(default_factory=Facts)
    batch: Batch = field(default_factory=Batch)
    of_models: dict[str, Batch] = field(default_factory=dict[str, Batch])
    n_malformed: int = 0
    sample: str = ""


def parse(data: bytes, position: int) -> Parsed:
    """What the lines in ``data`` say.

    Args:
        data: whole lines.
        position: of its first byte in the stream.
    """
    parsed, batch = Parsed(), dict[tuple[str, str], Points]()
    parsed.batch.points = batch
    read = _read_point
    for line in data.split(b"\n"):
        try:
            point = read(line)
        except ValueError:
            if line.strip():
                _read_slowly(parsed, line, position)
        else:
            name = (point.title, point.series)
            points = batch.get(name)
            if points is None:
                points = batch[name] = Points()
            points.add(point.i, point.v, point.t)
        position += len(line) + 1
    return parsed


class _PointLine(msgspec.Struct, tag_field="k", tag="scalar", gc=False):
    """A scalar as the SDK writes it; what differs in any way is left to the slow way."""

    title: str
    series: str
    v: float
    t: float
    i: Annotated[int, msgspec.Meta(ge=-_INTEGER_LIMIT, le=_INTEGER_LIMIT - 1)] = 0


#: Nearly all lines of a flood are points, and in C one costs a tenth.
_read_point = msgspec.json.Decoder(_PointLine).decode


def _read_slowly(parsed: Parsed, line: bytes, position: int) -> None:
    """One line of any kind; one that cannot be used is counted."""
    try:
        _apply(parsed, _decode(line), position)
    except (
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        OverflowError,
        RecursionError,
        InvalidInput,
    ) as exc:
        parsed.n_malformed += 1
        shown = line[:_SAMPLE_LENGTH].decode("utf-8", "replace")
        parsed.sample = parsed.sample or f"{type(exc).__name__}: {exc}: {shown}"


def _decode(line: bytes) -> dict[str, Any]:
    record = _DECODER.decode(line.decode())
    if not isinstance(record, dict):
        raise TypeError("not an object")
    return cast("dict[str, Any]", _clean(record) if b"\\u" in line else record)


def _clean(value: Any) -> Any:
    """``value`` without lone surrogates, which no database column takes."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        members = cast("dict[str, Any]", value)
        return {_clean(name): _clean(member) for name, member in members.items()}
    if isinstance(value, list):
        return [_clean(item) for item in cast("list[Any]", value)]
    return value


def _apply(parsed: Parsed, record: dict[str, Any], position: int) -> None:
    read = _READERS.get(record["k"])
    if read is None:
        raise ValueError(f"unknown kind {record['k']!r}")
    read(parsed, record, position)


def _scalar(parsed: Parsed, record: dict[str, Any], _position: int) -> None:
    point = (_iteration(record), float(record["v"]), _time(record))
    series = (_text(record["title"]), _text(record["series"]))
    parsed.batch.points.setdefault(series, Points()).add(*point)


def _single(parsed: Parsed, record: dict[str, Any], _position: int) -> None:
    parsed.batch.singles[_text(record["name"])] = (float(record["v"]), _time(record))


def _message(parsed: Parsed, record: dict[str, Any], position: int) -> None:
    level = _text(record.get("level", "info"))
    parsed.batch.texts.append((position, _time(record), level, _text(record["message"])))


def _plot(parsed: Parsed, record: dict[str, Any], _position: int) -> None:
    title, series = _text(record["title"]), _text(record["series"])
    kind, data = _text(record["type"]), json.dumps(record["data"], separators=(",", ":"))
    parsed.batch.plots.append((title, series, _iteration(record), kind, data, _time(record)))


def _media(parsed: Parsed, record: dict[str, Any], _position: int) -> None:
    history = record.get("history", HISTORY)
    n_bytes = int(record.get("n_bytes", 0))
    if not 0 <= n_bytes < _INTEGER_LIMIT:
        raise ValueError(f"a sample has no {n_bytes} bytes")
    sample = Sample(
        title=_text(record["title"]),
        series=_text(record["series"]),
        iteration=_iteration(record),
        filename=_text(record.get("filename", "")),
        content_type=_text(record.get("content_type", "")),
        sha256=_text(record.get("sha256") or ""),
        n_bytes=n_bytes,
        uri=_text(record.get("uri") or ""),
        at=_time(record),
        history=None if history is None or int(history) < 0 else int(history),
    )
    if not sample.sha256 and not sample.uri:
        raise ValueError("a sample has neither sha256 nor uri")
    parsed.batch.media.append(sample)


def _artifact(parsed: Parsed, record: dict[str, Any], _position: int) -> None:
    members = {"created_at": _time(record), **record}
    artifact = codec.from_json(Artifact, members)
    if len(artifact.preview.encode()) > _PREVIEW_LIMIT:
        raise ValueError(f"preview is over {_PREVIEW_LIMIT} bytes")
    parsed.facts.artifacts[artifact.name] = artifact


def _model(parsed: Parsed, record: dict[str, Any], _position: int) -> None:
    parsed.facts.models.append(model_records.parse(record, _time(record)))


def _of_model(parsed: Parsed, record: dict[str, Any], position: int) -> None:
    report = record["report"]
    if report["k"] not in _OF_MODELS or not is_id(record["id"]):
        raise ValueError(f"no report of a model: {report['k']!r} of {record['id']!r}")
    batch = parsed.of_models.setdefault(record["id"], Batch())
    _apply(Parsed(batch=batch), {"t": record["t"], **report}, position)


def _labels(parsed: Parsed, record: dict[str, Any], _position: int) -> None:
    values = {_text(name): int(number) for name, number in record["values"].items()}
    if any(abs(number) >= _INTEGER_LIMIT for number in values.values()):
        raise ValueError("a label's number has more than 64 bits")
    parsed.facts.labels = values


def _parameters(parsed: Parsed, record: dict[str, Any], _position: int) -> None:
    for name, value in record["values"].items():
        gone = value is None
        parsed.facts.parameters[name] = None if gone else codec.from_json(Parameter, value)


def _configuration(parsed: Parsed, record: dict[str, Any], _position: int) -> None:
    for name, value in record["values"].items():
        gone = value is None
        parsed.facts.configuration[name] = None if gone else codec.from_json(ConfigObject, value)


def _properties(parsed: Parsed, record: dict[str, Any], _position: int) -> None:
    for name, value in record["values"].items():
        parsed.facts.properties[name] = None if value is None else _text(value)


def _runtime(parsed: Parsed, record: dict[str, Any], _position: int) -> None:
    parsed.facts.runtime.update(_texts(record["values"]))


def _execution(parsed: Parsed, record: dict[str, Any], _position: int) -> None:
    values = dict(record["values"])
    check(merged_execution(Execution(), values).resources)  # so that merging cannot fail later
    parsed.facts.execution.update(values)


def _tags(parsed: Parsed, record: dict[str, Any], _position: int) -> None:
    changes = {_text(tag): True for tag in record.get("add", [])}
    changes.update({_text(tag): False for tag in record.get("remove", [])})
    for tag, wanted in changes.items():
        parsed.facts.tags.pop(tag, None)  # so that tags keep the order they were added in
        parsed.facts.tags[tag] = wanted


def _comment(parsed: Parsed, record: dict[str, Any], _position: int) -> None:
    parsed.facts.comment = _text(record["text"])


def _progress(parsed: Parsed, record: dict[str, Any], _position: int) -> None:
    value = float(record["v"])
    if not math.isfinite(value):
        raise ValueError("progress is not a number")
    parsed.facts.progress = min(100.0, max(0.0, value))


def _final(_parsed: Parsed, _record: dict[str, Any], _position: int) -> None:
    """The shipper reads it and says the end in the frame's ``finish``."""


_READERS: dict[str, Callable[[Parsed, dict[str, Any], int], None]] = {
    "scalar": _scalar,
    "single": _single,
    "text": _message,
    "plot": _plot,
    "media": _media,
    "artifact": _artifact,
    "model": _model,
    "of_model": _of_model,
    "labels": _labels,
    "parameters": _parameters,
    "configuration": _configuration,
    "properties": _properties,
    "runtime": _runtime,
    "execution": _execution,
    "tags": _tags,
    "comment": _comment,
    "progress": _progress,
    "final": _final,
}


def _iteration(record: dict[str, Any]) -> int:
    iteration = int(record.get("i", 0))
    if not -_INTEGER_LIMIT <= iteration < _INTEGER_LIMIT:
        raise ValueError(f"iteration {iteration} has more than 64 bits")
    return iteration


def _time(record: dict[str, Any]) -> float:
    at = float(record["t"])
    if not math.isfinite(at):
        raise ValueError("time is not a number")
    return at


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected text, got {type(value).__name__}")
    return value


def _texts(values: dict[str, Any]) -> dict[str, str]:
    return {name: _text(value) for name, value in values.items()}
