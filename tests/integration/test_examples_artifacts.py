"""What the examples of artifacts record, read back."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.integration.examples import LOCAL, Recorded, example


@example("artifacts/objects.py")
def test_objects_of_all_kinds_come_back(run: Recorded) -> None:
    kept = run.task.artifacts
    assert {name: artifact.type for name, artifact in kept.items()} == {
        "matrix": "numpy",
        "matrix as text": "numpy",
        "animals": "pandas",
        "scores": "pandas",
        "picture": "image",
        "settings": "dict",
        "settings as yaml": "dict",
        "losses": "JSON",
        "notes": "string",
        "paper": "custom",
    }
    assert kept["matrix"].get().tolist() == kept["matrix as text"].get().tolist()
    assert kept["matrix"].metadata == {"rows": "3", "symmetric": "True"}
    assert kept["animals"].get().to_dict() == {
        "legs": {"falcon": 2, "dog": 4},
        "wings": {"falcon": 2, "dog": 0},
    }
    assert kept["animals"].preview == "two animals"
    assert list(kept["scores"].get().index) == [("a", 1), ("b", 2)]
    assert kept["picture"].get().size == (16, 8)
    assert kept["settings"].get() == {"rate": 0.1, "layers": [32, 10], "name": None}
    assert kept["settings as yaml"].get() == {"rate": 0.1}
    assert kept["losses"].get() == [0.9, 0.5, 0.25]
    assert kept["notes"].get() == "It went well.\nNext time with more data."
    assert kept["paper"].url == "https://example.org/paper.pdf"
    assert "matrix: numpy" in run.console
    assert "layers: [32, 10]" in run.console
    assert "the same scores: True" in run.console


@example("artifacts/files_and_folders.py")
def test_files_and_folders_come_back(run: Recorded) -> None:
    kept = run.task.artifacts
    assert Path(kept["summary"].get()).read_text() == "epoch,loss\n1,0.5\n"
    everything = Path(kept["everything"].get())
    assert (everything / "run.sh").stat().st_mode & 0o111
    assert (everything / "deep/details.csv").is_file()
    tables = Path(kept["tables"].get_local_copy())
    assert sorted(p.name for p in tables.rglob("*.*")) == ["details.csv", "summary.csv"]
    two = Path(kept["two of them"].get())
    assert sorted(p.name for p in two.rglob("*") if p.is_file()) == ["details.csv", "run.sh"]
    assert "run.sh - 21 bytes" in kept["everything"].preview


@example("artifacts/custom_serializer.py")
def test_a_serializer_of_ones_own(run: Recorded) -> None:
    kept = run.task.artifacts["schedule"]
    assert kept.type == "custom"
    data = kept.get(deserialization_function=bytes.decode)
    assert data == '{"rate": 0.1, "steps": [10, 20]}'
    assert "Schedule(rate=0.1, steps=[10, 20])" in run.console


@example("artifacts/pickle_with_consent.py")
def test_pickles_need_consent(run: Recorded) -> None:
    assert "not without being asked" in run.console
    assert "not without consent" in run.console
    assert "loaded: ['dray', 'ray']" in run.console
    assert run.task.artifacts["vocabulary"].type == "pickle"
    with pytest.raises(ValueError, match="allow_pickle"):
        run.task.artifacts["vocabulary"].get()


@example("artifacts/output_uri_folder.py")
def test_outputs_go_to_a_folder(run: Recorded) -> None:
    kept = run.task.artifacts
    assert kept["weights"].url.startswith("file:///")
    own = f"{run.task.get_project_name()}/{run.task.name}.{run.task.id}/artifacts"
    assert own in kept["weights"].url
    assert Path(kept["weights"].url.removeprefix("file://")).is_file()
    assert kept["weights"].get() == {"w": [0.1, 0.2]}
    assert kept["report"].url.startswith(run.cluster.client.url)
    assert kept["report"].get() == "kept by the server"


@example("artifacts/registered_table.py")
def test_registered_tables_follow_their_changes(run: Recorded) -> None:
    kept = run.task.artifacts["samples"]
    assert (kept.type, kept.metadata) == ("data-audit-table", {"of": "animals"})
    assert kept.get()["file"].tolist() == ["b.png", "c.png"]
    assert "2 unique rows" in kept.preview
    assert len(run.task.artifacts["other"].get()) == 3


@example("artifacts/storage_manager.py")
def test_storage_goes_there_and_back(run: Recorded) -> None:
    found = run.task.artifacts["found"].get()
    assert found == {"names": ["a.json", "deep/b.csv"], "fetched": ["b.csv"]}
    assert "is there: False" in run.console
    (line,) = [line for line in run.console.splitlines() if line.startswith("unpacked: ")]
    assert ast.literal_eval(line.removeprefix("unpacked: ")) == ["a.json", "b.csv"]


@example("artifacts/of_another_task.py", where=[LOCAL])
def test_artifacts_of_another_task(run: Recorded) -> None:
    assert "data has 3 rows" in run.console
    assert run.task.artifacts["verdict"].get() == "good data"
    assert len(run.task_ids) == 2
