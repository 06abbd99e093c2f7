"""TensorFlow 2: what ``tf.summary`` writes, and Keras' TensorBoard callback through it.

Its writers are resources of TensorFlow's own runtime and no Python objects; each value comes to
one operation, which is watched here and told on as the event that other writers write.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from dray.sdk.hooks.capture import Capture
from dray.sdk.hooks.tensorboard import Recorder
from dray.sdk.hooks.watch import tell_once

#: Set on the handle of a writer: where it writes.
_LOGDIR = "_dray_logdir"


def install(capture: Capture, operations: ModuleType) -> None:
    """Watch the operations of ``tensorflow.python.ops.gen_summary_ops`` that begin and write."""
    recorder = Recorder(capture.attempt, bool(capture.option("report_hparams", True)))

    def made(_: Any, writer: Any, logdir: Any, *__: Any, **___: Any) -> None:
        setattr(writer, _LOGDIR, _text(logdir))

    def wrote(
        writer: Any, step: Any, tensor: Any, tag: Any, summary_metadata: Any, *_: Any, **__: Any
    ) -> None:
        def record(step: Any, tensor: Any, tag: Any, metadata: Any) -> None:
            event = _event_of_tensor(step, tensor, _text(tag), metadata)
            recorder.record(None, _Writer(writer), event)

        _when_run(capture, record, step, tensor, tag, summary_metadata)

    def wrote_raw(writer: Any, step: Any, tensor: Any, *_: Any, **__: Any) -> None:
        def record(step: Any, tensor: Any) -> None:
            for serialized in _listed(tensor):
                recorder.record(None, _Writer(writer), _event(step, serialized))

        _when_run(capture, record, step, tensor)

    # The operations call each other by no name, so each is told of once.
    capture.wrap(operations, "create_summary_file_writer", after=made)
    capture.wrap(operations, "write_summary", before=wrote)
    capture.wrap(operations, "write_raw_proto_summary", before=wrote_raw)


class _Writer:
    """A writer, as far as the recorder asks for it."""

    def __init__(self, resource: Any) -> None:
        self._resource = resource

    def get_logdir(self) -> str:
        """Where it writes; empty for one that was made before the run began."""
        return str(getattr(self._resource, _LOGDIR, ""))


def _when_run(capture: Capture, record: Callable[..., None], *tensors: Any) -> None:
    """Call ``record`` with the values of ``tensors``: now, or each time their graph runs."""
    tf = sys.modules["tensorflow"]
    if tf.executing_eagerly():
        record(*(value.numpy() if hasattr(value, "numpy") else value for value in tensors))
        return
    if not sys.modules["tensorflow.python.framework.ops"].inside_function():
        return  # a graph of TensorFlow 1 runs only what a session asks for

    def run(*values: Any) -> None:
        if not capture.is_on:
            return
        try:
            record(*values)
        except Exception as exc:  # it would end the script's own computation
            tell_once("tf.summary", f"tf.summary was not recorded: {type(exc).__name__}: {exc}")

    tf.numpy_function(run, list(tensors), [])


def _event_of_tensor(step: Any, tensor: Any, tag: str, metadata: Any) -> Any:
    tf: Any = sys.modules["tensorflow"]
    summary = tf.compat.v1.Summary()
    value = summary.value.add(tag=tag, tensor=tf.make_tensor_proto(tensor))
    value.metadata.ParseFromString(_listed(metadata)[0])
    return _event(step, summary.SerializeToString())


def _event(step: Any, serialized: bytes) -> Any:
    event = sys.modules["tensorflow"].compat.v1.Event(step=int(step))
    event.summary.ParseFromString(serialized)
    return event


def _listed(value: Any) -> list[bytes]:
    """Bytes out of bytes, text, or an array of them."""
    while hasattr(value, "numpy"):
        value = value.numpy()
    flat = value.ravel().tolist() if hasattr(value, "ravel") else [value]
    return [item if isinstance(item, bytes) else str(item).encode() for item in flat]


def _text(value: Any) -> str:
    return _listed(value)[0].decode("utf-8", "replace")
