"""What the examples of reporting record, read back."""

from __future__ import annotations

from tests.integration.examples import QUEUE, Recorded, example


@example("reporting/scalars.py", ["--epochs", "4"])
def test_scalars_and_single_values_are_read_back(run: Recorded) -> None:
    scalars = run.task.get_reported_scalars()
    assert scalars["loss"]["train"]["x"] == [0, 1, 2, 3]
    assert scalars["loss"]["validation"]["y"] == [1.5, 0.75, 0.5, 0.375]
    assert run.task.get_reported_single_value("best loss") == 0.25
    assert "trained 4 epochs" in run.console
    if run.where == QUEUE:
        assert run.again(Args__epochs=2).get_reported_scalars()["loss"]["train"]["x"] == [0, 1]
