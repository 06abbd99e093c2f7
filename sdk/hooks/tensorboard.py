"""TensorBoard: every event a writer writes is recorded too, whoever's writer it is.

PyTorch, tensorboardX, Lightning and Keras all end at an ``EventFileWriter``; one of each package
is watched here. What an event holds is read in ``tensorboard_values``.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from dray.sdk.hooks import tensorboard_values as values
from dray.sdk.hooks.capture import Capture
from dray.sdk.hooks.tensorboard_names import Names
from dray.sdk.hooks.watch import tell_once
from dray.sdk.session import Session

#: So many histograms of a series are kept one by one; then every second one; of each doubling
#: after that, half the part of the one before.
THIN_AFTER = 100


def install(capture: Capture, module: ModuleType) -> None:
    """Watch ``EventFileWriter.add_event`` of ``module``."""
    recorder = Recorder(capture.attempt, bool(capture.option("report_hparams", True)))
    capture.wrap(module.EventFileWriter, "add_event", after=recorder.record, family="tensorboard")


class Recorder:
    """Turns events into records of ``attempt``.

    Args:
        attempt: whose records they are.
        report_hparams: whether hyperparameters become parameters of the task.
    """

    def __init__(self, attempt: Session, report_hparams: bool = True) -> None:
        self._attempt = attempt
        self._report_hparams = report_hparams
        self._names = Names.of(attempt)
        self._scalar = attempt.writer.scalar
        self._n_plots: dict[tuple[str, str], int] = {}

    def record(self, _: Any, writer: Any, event: Any) -> None:
        """Record the summary that ``event`` carries, if it does."""
        if event.WhichOneof("what") != "summary":
            return
        logdir = str(writer.get_logdir())
        found = event.summary.value
        for value in found:
            kind = value.WhichOneof("value")
            if kind == "simple_value":
                number = values.decimal(value.simple_value)
                self._put_scalar(logdir, value.tag, event.step, number)
                continue
            try:
                self._put(logdir, event, value, kind)
            except Exception as exc:  # one odd value is no reason to lose the others
                tell_once(
                    f"tensorboard {value.tag}",
                    f"TensorBoard's {value.tag!r} was not recorded: {type(exc).__name__}: {exc}",
                )
        if any(value.metadata.plugin_data.plugin_name == "mesh" for value in found):
            self._put_mesh(logdir, event)

    def _put_scalar(self, logdir: str, tag: str, step: int, number: float) -> None:
        title, series = self._names.scalar(logdir, tag)
        step = self._names.step(title, series, step) + self._attempt.initial_iteration
        self._scalar(title, series, step, number)

    def _put(self, logdir: str, event: Any, value: Any, kind: str | None) -> None:
        plugin = value.metadata.plugin_data.plugin_name
        if kind == "image":
            self._put_file(logdir, event, value.tag, "Images", value.image.encoded_image_string)
        elif kind == "audio":
            self._put_file(logdir, event, value.tag, "Audio", value.audio.encoded_audio_string)
        elif kind == "histo":
            bars = values.bars_of_histogram(value.histo)
            self._put_histogram(logdir, value.tag, event.step, bars)
        elif plugin == "hparams":
            if self._report_hparams:
                self._attempt.put_parameters(values.hyperparameters(event, value))
        elif kind == "tensor":
            self._put_tensor(logdir, event, value, plugin)

    def _put_tensor(self, logdir: str, event: Any, value: Any, plugin: str) -> None:
        tensor = value.tensor
        if plugin in ("text", "audio", "images") or (not plugin and tensor.string_val):
            self._put_strings(logdir, event, value, plugin)
        elif plugin == "pr_curves":
            figure = values.pr_curve(tensor)
            series = value.metadata.display_name or value.tag
            self._put_plot(value.tag, series, event.step, figure)
        elif plugin == "histograms":
            self._put_histogram(logdir, value.tag, event.step, values.bars_of_tensor(tensor))
        elif plugin in ("scalars", ""):
            numbers = values.floats(tensor)
            if len(numbers) == 1:
                is_single = tensor.dtype == values.DT_FLOAT
                number = values.decimal(numbers[0]) if is_single else numbers[0]
                self._put_scalar(logdir, value.tag, event.step, number)

    def _put_strings(self, logdir: str, event: Any, value: Any, plugin: str) -> None:
        strings = list(value.tensor.string_val)
        if plugin == "images":
            strings = strings[2:]  # width and height stand before the pictures
        default = {"images": "Images", "audio": "Audio"}.get(plugin, "Text")
        for string in strings:
            self._put_file(logdir, event, value.tag, default, string)

    def _put_file(self, logdir: str, event: Any, tag: str, default: str, data: bytes) -> None:
        from dray.sdk.reporting import media

        title, series = self._names.sample(logdir, tag, default)
        step = self._names.step(title, series, event.step)
        extension = ".txt" if default == "Text" else values.extension(data)
        media.put_bytes(self._attempt, title, series, step, data, extension)

    def _put_histogram(self, logdir: str, tag: str, step: int, bars: dict[str, Any]) -> None:
        title, series = self._names.histogram(logdir, tag)
        n_before = self._n_plots.get((title, series), 0)
        self._n_plots[title, series] = n_before + 1
        if n_before % (1 << (n_before // THIN_AFTER).bit_length()) == 0:
            self._put_plot(title, series, step, bars)

    def _put_mesh(self, logdir: str, event: Any) -> None:
        for tag, figure in values.meshes(event.summary.value).items():
            title, series = self._names.sample(logdir, tag, "Mesh")
            self._put_plot(title, series, event.step, figure)

    def _put_plot(self, title: str, series: str, step: int, figure: dict[str, Any]) -> None:
        from dray.sdk.plots import reports

        step = self._names.step(title, series, step)
        reports.put_plot(self._attempt, title, series, step, figure)
