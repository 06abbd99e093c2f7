"""What TensorFlow 2 writes is recorded; the operations here stand for its runtime's."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboardX.proto.tensor_pb2 import TensorProto

from tests.unit.sdk.hooks.conftest import Hooked, records

OPERATIONS = "tensorflow.python.ops.gen_summary_ops"


class Tensorflow:
    """As much of TensorFlow as the hook asks for."""

    def __init__(self) -> None:
        self.is_eager = True
        self.in_graph: list[tuple[Callable[..., None], list[Any]]] = []
        self.n_written = 0
        self.operations = ModuleType(OPERATIONS)
        self.operations.create_summary_file_writer = self._create  # type: ignore[attr-defined]
        self.operations.write_summary = self._write  # type: ignore[attr-defined]
        self.operations.write_raw_proto_summary = self._write_raw  # type: ignore[attr-defined]

    def modules(self) -> dict[str, Any]:
        v1 = SimpleNamespace(Summary=Summary, Event=Event)
        tensorflow = SimpleNamespace(
            executing_eagerly=lambda: self.is_eager,
            numpy_function=lambda function, values, _: self.in_graph.append((function, values)),
            make_tensor_proto=lambda number: TensorProto(dtype=1, float_val=[number]),  # type: ignore[arg-type]
            compat=SimpleNamespace(v1=v1),
        )
        ops = SimpleNamespace(inside_function=lambda: not self.is_eager)
        return {
            "tensorflow": tensorflow,
            "tensorflow.python.framework.ops": ops,
            OPERATIONS: self.operations,
        }

    def writer(self, logdir: str) -> Any:
        writer = SimpleNamespace()
        self.operations.create_summary_file_writer(writer, logdir=logdir)
        return writer

    def scalar(self, writer: Any, tag: str, number: float, step: int) -> None:
        metadata = SummaryMetadata()
        metadata.plugin_data.plugin_name = "scalars"
        self.operations.write_summary(
            writer, step, number, tag=tag, summary_metadata=metadata.SerializeToString()
        )

    def _create(self, *_: Any, **__: Any) -> None:
        pass

    def _write(self, *_: Any, **__: Any) -> None:
        self.n_written += 1

    def _write_raw(self, *_: Any) -> None:
        self.n_written += 1


@pytest.fixture
def tensorflow(monkeypatch: pytest.MonkeyPatch) -> Tensorflow:
    made = Tensorflow()
    for name, module in made.modules().items():
        monkeypatch.setitem(sys.modules, name, module)
    return made


def test_scalars_have_the_names_that_other_writers_give_them(
    hooked: Hooked, tensorflow: Tensorflow
) -> None:
    attempt = hooked()
    for logdir in ("runs/one", "runs/two"):
        tensorflow.scalar(tensorflow.writer(logdir), "loss/train", 0.2, 3)
    found = [(r["title"], r["series"], r["i"], r["v"]) for r in records(attempt, "scalar")]
    assert found == [("loss", "train", 3, 0.2), ("loss", "two: train", 3, 0.2)]
    assert tensorflow.n_written == 2


def test_a_graph_records_each_time_it_runs(hooked: Hooked, tensorflow: Tensorflow) -> None:
    attempt = hooked()
    tensorflow.is_eager = False
    tensorflow.scalar(tensorflow.writer("runs"), "loss", 0.0, 0)
    ((function, values),) = tensorflow.in_graph
    assert not records(attempt, "scalar")
    for step in range(2):
        function(step, 0.5, *values[2:])
    assert [(r["i"], r["v"]) for r in records(attempt, "scalar")] == [(0, 0.5), (1, 0.5)]


def test_what_is_written_as_a_message_is_recorded(hooked: Hooked, tensorflow: Tensorflow) -> None:
    attempt = hooked()
    summary = Summary(value=[Summary.Value(tag="acc", simple_value=0.1)])
    writer = tensorflow.writer("runs")
    tensorflow.operations.write_raw_proto_summary(writer, 4, summary.SerializeToString())
    assert [(r["title"], r["i"], r["v"]) for r in records(attempt, "scalar")] == [("acc", 4, 0.1)]


def test_a_recorder_that_fails_in_a_graph_does_not_end_it(
    hooked: Hooked, tensorflow: Tensorflow, capsys: pytest.CaptureFixture[str]
) -> None:
    hooked()
    tensorflow.is_eager = False
    tensorflow.scalar(tensorflow.writer("runs"), "loss", 0.0, 0)
    ((function, values),) = tensorflow.in_graph
    for _ in range(2):
        function("no step", 0.5, *values[2:])
    assert capsys.readouterr().err.count("tf.summary was not recorded") == 1


def test_switched_off_it_records_nothing(hooked: Hooked, tensorflow: Tensorflow) -> None:
    attempt = hooked({"tensorboard": False})
    tensorflow.scalar(tensorflow.writer("runs"), "loss", 0.2, 3)
    assert not records(attempt, "scalar")
    assert tensorflow.n_written == 1
