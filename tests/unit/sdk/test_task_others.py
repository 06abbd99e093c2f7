"""Tasks that do not run in this process: found, edited, cloned, queued, read, created."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import Any

import pytest

from dray import Task
from dray.runtime.errors import DrayError, InvalidInput, NotFound
from tests.unit.sdk.live import TOKEN, Live
from tests.unit.sdk.repositories import Repository
from tests.unit.sdk.scripts import INIT, Machine, ended, parameters, task_of


@pytest.fixture
def here(tmp_path: Path, live: Live, monkeypatch: pytest.MonkeyPatch) -> Live:
    """This process as a laptop that knows the server."""
    for name in ("DRAY_TASK_ID", "DRAY_SPOOL", "DRAY_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DRAY_URL", live.url)
    monkeypatch.setenv("DRAY_TOKEN", TOKEN)
    monkeypatch.setenv("DRAY_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DRAY_CACHE", str(tmp_path / "cache"))
    return live


def draft(live: Live, name: str = "base", **members: Any) -> Any:
    made = live.client.create_task("others", name, **members)
    return Task.get_task(made.id)


class TestOthers:
    """Tasks that do not run in this process, through the real server."""

    def test_a_task_is_found_by_id_by_prefix_and_by_name(self, here: Live) -> None:
        made = draft(here, "unique name", tags=["x"])
        assert Task.get_task(made.id[:10]) == made
        assert Task.get_task(project_name="others", task_name="unique name") == made
        assert Task.get_task(task_name="unique name", tags=["x"]) == made
        assert Task.get_task(project_name="others", task_name="unique") is None
        assert Task.get_task(project_name="elsewhere", task_name="unique name") is None

    @pytest.mark.usefixtures("here")
    def test_an_unknown_id_raises(self) -> None:
        with pytest.raises(NotFound):
            Task.get_task("00" * 16)

    def test_lists_and_queries(self, here: Live) -> None:
        one, two = draft(here, "list one"), draft(here, "list two", type="testing")
        assert {t.id for t in Task.get_tasks(project_name="others", task_name="list")} == {
            one.id,
            two.id,
        }
        found = Task.query_tasks(
            "others", "list", task_filter={"type": "testing", "status": ["draft"]}
        )
        assert found == [two.id]
        assert Task.get_tasks(task_ids=[one.id]) == [one]
        with pytest.raises(InvalidInput, match="task_filter has no 'colour'"):
            Task.query_tasks(task_filter={"colour": "red"})

    def test_a_draft_is_edited_through_the_client(self, here: Live) -> None:
        task = draft(here, parameters=parameters(General__a="1", General__b="2"))
        task.set_parameters({"General/a": 3})
        task.set_parameter("Args/lr", 0.5)
        task.add_tags("x y")
        task.remove_tags("x")
        task.comment = "note"
        task.name = "renamed"
        task.set_project("others/sub")
        task.set_packages("numpy==2\n# none\n")
        task.set_user_properties({"team": "vision"})
        task.set_configuration_object("net", "layers: 1")
        again = here.client.get_task(task.id)
        assert {n: p.value for n, p in again.parameters.items()} == {
            "General/a": "3",
            "Args/lr": "0.5",
        }
        assert (again.tags, again.comment, again.name) == (["y"], "note", "renamed")
        assert (again.project, again.execution.packages) == ("others/sub", ["numpy==2"])
        assert again.properties == {"team": "vision"}
        assert again.configuration["net"].text == "layers: 1"
        assert task.get_parameters(cast=True) == {"General/a": 3, "Args/lr": 0.5}

    def test_only_a_run_says_how_far_it_is(self, here: Live) -> None:
        with pytest.raises(InvalidInput, match="its own run"):
            draft(here).set_progress(1)

    def test_clone_enqueue_dequeue_and_abort(self, here: Live) -> None:
        source = draft(here, parameters=parameters(General__a="1"))
        clone = Task.clone(source, name="copy", comment="again")
        assert (clone.name, clone.comment, clone.parent) == ("copy", "again", source.id)
        assert clone.get_parameter("a") == "1"
        queued = Task.enqueue(clone)
        assert (queued.queued, queued.fields["status"]) == (1, "queued")
        assert Task.dequeue(clone.id).fields["status"] == "created"
        with pytest.raises(NotFound, match="default"):
            Task.enqueue(clone, "nowhere")
        Task.enqueue(clone, "gpu")
        clone.abort("changed my mind")
        assert clone.get_status_message() == ("stopped", "changed my mind")
        assert (clone.status, clone.state) == ("stopped", "aborted")
        clone.reset()
        assert (clone.status, clone.state) == ("created", "draft")
        assert clone.delete()

    def test_waiting_returns_raises_or_runs_out(self, here: Live) -> None:
        task = draft(here)
        here.client.enqueue(task.id, "default")
        with pytest.raises(DrayError, match=r"is queued after 0\.05 s"):
            task.wait_for_status(timeout=0.05)
        task.wait_for_status("queued")
        here.client.abort(task.id)
        task.wait_for_status("stopped", timeout=5)
        with pytest.raises(DrayError, match="is stopped"):
            task.wait_for_status("completed", timeout=5)
        with pytest.raises(DrayError, match="is stopped"):
            task.wait_for_status("completed", raise_on_status="aborted", timeout=5)

    def test_results_are_read_in_the_shapes_users_know(self, laptop: Machine, here: Live) -> None:
        ran = laptop.run(
            INIT + "for i in range(3): task.logger.report_scalar('loss', 'train', i / 2, i)\n"
            "task.logger.report_single_value('accuracy', 0.9)\nprint('one')\n"
        )
        task_id = task_of(ran)
        ended(here, task_id)
        task = Task.get_task(task_id)
        assert task is not None
        assert task.get_reported_scalars()["loss"]["train"] == {
            "name": "train",
            "x": [0, 1, 2],
            "y": [0.0, 0.5, 1.0],
        }
        last = task.get_last_scalar_metrics()["loss"]["train"]
        assert (last["last"], last["min"], last["max"]) == (1.0, 0.0, 1.0)
        assert task.get_reported_single_values() == {"accuracy": 0.9}
        assert task.get_last_iteration() == 2
        assert "one\n" in task.get_reported_console_output(number_of_reports=5)
        assert task.get_output_log_web_page() == f"{here.url}/#/tasks/{task_id}"


class TestCreate:
    def test_local_code_is_sent_and_will_be_recorded(
        self, here: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        repository = Repository(tmp_path / "vision").write(jobs__go_py="import psutil\n")
        repository.commit()
        monkeypatch.chdir(repository.root)
        task = Task.create(script="jobs/go.py", argparse_args=[("--lr", 0.1)], packages=["a==1"])
        stored = here.client.get_task(task.id)
        assert (stored.project, stored.name, str(stored.state)) == ("vision", "go", "draft")
        assert stored.execution.entry_point == "jobs/go.py"
        assert stored.execution.packages == ["a==1"]
        assert stored.execution.bootstrap
        assert stored.execution.snapshot
        assert stored.owner == getpass.getuser()
        assert stored.parameters["Args/lr"].value == "0.1"

    def test_a_repository_is_named_not_fetched(self, here: Live) -> None:
        task = Task.create(
            repo="git@example.org:t/vision.git",
            branch="main",
            script="go.py",
            packages="",
            add_task_init_call=False,
        )
        execution = here.client.get_task(task.id).execution
        assert (execution.repository, execution.branch) == ("git@example.org:t/vision.git", "main")
        assert (execution.packages, execution.bootstrap, execution.snapshot) == ([], False, "")
        assert task.get_project_name() == "vision"

    def test_another_task_can_be_the_base(self, here: Live) -> None:
        base = draft(here, parameters=parameters(Args__lr="0.1", Args__n="1"))
        task = Task.create(task_name="child", base_task_id=base.id, argparse_args={"lr": 0.2})
        assert (task.name, task.parent) == ("child", base.id)
        assert task.get_parameters() == {"Args/lr": "0.2", "Args/n": "1"}

    @pytest.mark.usefixtures("here")
    @pytest.mark.parametrize(
        ("given", "said"),
        [({}, "script or module"), ({"script": "missing.py"}, "is not there")],
    )
    def test_no_script_is_refused(self, given: dict[str, Any], said: str) -> None:
        with pytest.raises(InvalidInput, match=said):
            Task.create(**given)
