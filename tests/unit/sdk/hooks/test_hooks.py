"""Which frameworks are captured, and what becomes of a hook that fails."""

from __future__ import annotations

import inspect
import pickle
import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

import joblib
import pytest

from dray.runtime.errors import InvalidInput
from dray.sdk import hooks
from dray.sdk.hooks import watch
from dray.sdk.hooks.weights import LOAD_LIMIT, WeightsFileHandler
from tests.unit.sdk.hooks.conftest import Hooked, Models

#: As scripts written for ClearML name them.
KEYS = (
    *("matplotlib", "tensorflow", "tensorboard", "pytorch", "xgboost", "scikit", "fastai"),
    *("lightgbm", "hydra", "detect_repository", "tfdefines", "joblib", "megengine", "catboost"),
    "gradio",
)


@pytest.mark.parametrize("wanted", [False, {}, {"joblib": False}, {"scikit": False}])
def test_what_is_switched_off_is_not_captured(
    hooked: Hooked, models: Models, tmp_path: Path, wanted: Any
) -> None:
    hooked(wanted)
    joblib.dump({}, tmp_path / "m.pkl")
    assert not models.saved


@pytest.mark.parametrize("wanted", [True, {"matplotlib": False}, {"joblib": True}])
def test_what_is_not_named_is_captured(
    hooked: Hooked, models: Models, tmp_path: Path, wanted: Any
) -> None:
    hooked(wanted)
    joblib.dump({}, tmp_path / "m.pkl")
    assert models.saved == [("m.pkl", "ScikitLearn", "m")]


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [("*.pkl", ["a.pkl"]), (["b*", "*.joblib"], ["b.joblib"]), (["*/nowhere/*"], [])],
)
def test_patterns_say_which_model_files_count(
    hooked: Hooked, models: Models, tmp_path: Path, patterns: Any, expected: list[str]
) -> None:
    hooked({"scikit": patterns})
    for name in ("a.pkl", "b.joblib"):
        joblib.dump({}, tmp_path / name)
        joblib.load(tmp_path / name)
    assert [name for name, _, _ in models.saved] == expected
    assert [name for name, _ in models.loaded] == expected


@pytest.mark.parametrize("key", KEYS)
def test_every_key_that_scripts_use_is_known(key: str) -> None:
    hooks.check({key: True})


def test_a_framework_nobody_knows_is_refused_with_those_there_are() -> None:
    with pytest.raises(InvalidInput, match=r"does not know mxnet; it takes catboost, .*xgboost"):
        hooks.check({"mxnet": True})
    with pytest.raises(InvalidInput, match="a bool or a mapping, got 'torch'"):
        hooks.check("torch")  # type: ignore[arg-type]


def test_naming_what_nothing_is_captured_of_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    watch._told.clear()
    hooks.check({"megengine": True, "gradio": False})
    assert capsys.readouterr().err == (
        "dray: auto_connect_frameworks: nothing is captured of megengine\n"
    )


def test_a_function_keeps_its_signature_result_and_exceptions(
    hooked: Hooked, models: Models, tmp_path: Path
) -> None:
    bare, documented = inspect.signature(joblib.dump), joblib.dump.__doc__
    plain = joblib.dump([1], tmp_path / "m.pkl")
    hooked()
    assert inspect.signature(joblib.dump) == bare
    assert joblib.dump.__doc__ == documented
    assert joblib.dump([1], tmp_path / "m.pkl") == plain
    assert joblib.load(tmp_path / "m.pkl") == [1]
    with pytest.raises(FileNotFoundError):
        joblib.load(tmp_path / "nowhere.pkl")
    with pytest.raises(TypeError):
        joblib.dump()
    assert models.loaded == [("m.pkl", "ScikitLearn")]


def test_a_watched_function_can_be_sent_to_another_process(hooked: Hooked) -> None:
    hooked()
    assert pickle.loads(pickle.dumps(joblib.load)) is joblib.load  # noqa: S301  (our own bytes)


def test_everything_is_put_back_at_the_end(hooked: Hooked, models: Models, tmp_path: Path) -> None:
    before = joblib.dump, joblib.numpy_pickle.dump, list(sys.meta_path)
    hooked()
    assert joblib.dump is not before[0]
    hooks.uninstall()
    assert (joblib.dump, joblib.numpy_pickle.dump, list(sys.meta_path)) == before
    joblib.dump({}, tmp_path / "m.pkl")
    assert not models.saved


def test_what_somebody_else_wrapped_meanwhile_stays_and_records_no_more(
    hooked: Hooked, models: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = joblib.dump
    hooked()
    watched = joblib.dump

    def theirs(*args: Any) -> Any:
        return watched(*args)

    monkeypatch.setattr(joblib, "dump", theirs)
    hooks.uninstall()
    assert joblib.dump is theirs
    joblib.dump({}, tmp_path / "m.pkl")
    assert not models.saved
    monkeypatch.undo()
    joblib.dump = own


def test_a_script_that_took_the_function_by_name_before_is_served_too(
    hooked: Hooked, models: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = ModuleType("__main__")
    script.save = joblib.dump  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "__main__", script)
    hooked()
    script.save({}, tmp_path / "m.pkl")
    hooks.uninstall()
    assert script.save is joblib.dump
    assert models.saved


@pytest.mark.parametrize("broken", [RuntimeError("odd"), InvalidInput("too large")])
def test_a_recorder_that_fails_breaks_nothing_and_is_told_about_once(
    hooked: Hooked,
    models: Models,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    broken: Exception,
) -> None:
    hooked()
    models.broken = broken
    for _ in range(3):
        assert joblib.dump([1], tmp_path / "m.pkl") == [str(tmp_path / "m.pkl")]
    (told,) = capsys.readouterr().err.splitlines()
    assert str(broken) in told
    assert "joblib.dump" in told
    models.broken = None
    joblib.dump([1], tmp_path / "m.pkl")
    # An error of Dray's own is about that one record; any other one switches the hook off.
    assert len(models.saved) == isinstance(broken, InvalidInput)


def test_an_installer_that_fails_leaves_the_framework_as_it_was(
    hooked: Hooked, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from dray.sdk.hooks import joblib as own

    def broken(capture: Any, module: Any) -> None:
        capture.replace(module, "dump", None)
        raise AttributeError("another version")

    before = joblib.dump
    monkeypatch.setattr(own, "install", broken)
    hooked()
    assert joblib.dump is before
    assert "capturing joblib is off for this run: AttributeError: another version" in (
        capsys.readouterr().err
    )


def test_threads_record_beside_each_other(hooked: Hooked, models: Models, tmp_path: Path) -> None:
    hooked()
    threads = [
        threading.Thread(target=joblib.dump, args=({}, tmp_path / f"{n}.pkl")) for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {name for name, _, _ in models.saved} == {f"{n}.pkl" for n in range(8)}


def test_a_second_run_of_the_process_has_the_records_of_its_own(
    hooked: Hooked, models: Models, tmp_path: Path
) -> None:
    hooked()
    hooked()
    joblib.dump({}, tmp_path / "m.pkl")
    assert len(models.saved) == 1


def test_what_the_cache_of_joblib_keeps_is_no_model(
    hooked: Hooked, models: Models, tmp_path: Path
) -> None:
    hooked()
    memory = joblib.Memory(tmp_path / "cache", verbose=0)
    cached = memory.cache(_double)
    assert [cached(2), cached(2)] == [4, 4]
    assert not models.saved
    assert not models.loaded


def _double(number: int) -> int:
    return 2 * number


def test_buffers_are_no_models_and_open_files_are(
    hooked: Hooked, models: Models, tmp_path: Path
) -> None:
    import io

    hooked()
    joblib.dump({}, io.BytesIO())
    with (tmp_path / "m.pkl").open("wb") as file:
        joblib.dump({}, file)
    assert [name for name, _, _ in models.saved] == ["m.pkl"]


def test_a_data_set_of_many_files_is_not_many_models(
    hooked: Hooked, models: Models, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    joblib.dump({}, tmp_path / "0.pkl")
    for n in range(1, LOAD_LIMIT + 5):
        (tmp_path / f"{n}.pkl").write_bytes((tmp_path / "0.pkl").read_bytes())
    hooked()
    for n in range(LOAD_LIMIT + 5):
        joblib.load(tmp_path / f"{n}.pkl")
    joblib.load(tmp_path / "0.pkl")
    assert len(models.loaded) == LOAD_LIMIT
    assert len(capsys.readouterr().err.splitlines()) == 1


class TestCallbacks:
    @pytest.fixture(autouse=True)
    def _none_before(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(WeightsFileHandler, "_pre", {})
        monkeypatch.setattr(WeightsFileHandler, "_post", {})

    def test_one_before_may_leave_a_file_out(
        self, hooked: Hooked, models: Models, tmp_path: Path
    ) -> None:
        def only_best(action: Any, info: Any) -> Any:
            return info if "best" in info.upload_filename else None

        handle = WeightsFileHandler.add_pre_callback(only_best)
        assert WeightsFileHandler.add_pre_callback(only_best) == handle
        hooked()
        for name in ("best.pkl", "last.pkl"):
            joblib.dump({}, tmp_path / name)
        assert [name for name, _, _ in models.saved] == ["best.pkl"]
        assert (tmp_path / "last.pkl").exists()
        assert WeightsFileHandler.remove_pre_callback(handle)
        assert not WeightsFileHandler.remove_pre_callback(handle)

    def test_one_before_may_give_another_name(
        self, hooked: Hooked, models: Models, tmp_path: Path
    ) -> None:
        def rename(action: Any, info: Any) -> Any:
            info.upload_filename = "final.pkl"
            return info

        WeightsFileHandler.add_pre_callback(rename)
        hooked()
        joblib.dump({}, tmp_path / "m.pkl")
        assert models.saved == [("m.pkl", "ScikitLearn", "final")]

    @pytest.mark.usefixtures("models")
    def test_they_see_what_happens(self, hooked: Hooked, tmp_path: Path) -> None:
        seen: list[tuple[Any, ...]] = []

        def look(action: Any, info: Any) -> Any:
            seen.append((action, info.model, info.weights_object, info.framework, info.task.id))
            assert action in ("save", "load")
            assert info.local_model_path == str(tmp_path / "m.pkl")
            return info

        WeightsFileHandler.add_pre_callback(look)
        WeightsFileHandler.add_post_callback(look)
        attempt = hooked()
        joblib.dump([1], tmp_path / "m.pkl")
        joblib.load(tmp_path / "m.pkl")
        kind = WeightsFileHandler.CallbackType
        rest = ("ScikitLearn", attempt.task_id)
        assert seen == [
            (kind.save, None, [1], *rest),
            (kind.save, "model of m.pkl", [1], *rest),
            (kind.load, None, None, *rest),
            (kind.load, "input of m.pkl", None, *rest),
        ]

    def test_one_that_raises_is_told_about_and_the_file_recorded(
        self, hooked: Hooked, models: Models, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def broken(*_: Any) -> Any:
            raise ZeroDivisionError

        WeightsFileHandler.add_pre_callback(broken)
        hooked()
        joblib.dump({}, tmp_path / "m.pkl")
        assert models.saved
        assert "ZeroDivisionError" in capsys.readouterr().err
