"""What the server knows of tasks, under ClearML's names: found, moved, ended, and bad input."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dray import Task
from dray.runtime.errors import (
    IllegalTransition,
    InvalidInput,
    NotEditable,
    NotFound,
    UsageError,
    WrongType,
)
from tests.unit.sdk.live import TOKEN, Live
from tests.unit.sdk.repositories import Repository


@pytest.fixture(autouse=True)
def here(tmp_path: Path, live: Live, monkeypatch: pytest.MonkeyPatch) -> Live:
    """This process as a laptop that knows the server."""
    for name in ("DRAY_TASK_ID", "DRAY_SPOOL", "DRAY_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DRAY_URL", live.url)
    monkeypatch.setenv("DRAY_TOKEN", TOKEN)
    monkeypatch.setenv("DRAY_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DRAY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    return live


def draft(name: str = "known", **members: Any) -> Task:
    return Task.create(project_name="known", task_name=name, **members)


class TestFound:
    def test_several_of_a_name_give_the_last_changed_and_none_that_is_archived(self) -> None:
        first, second = draft("twice"), draft("twice")
        first.set_comment("changed")
        assert Task.get_task(project_name="known", task_name="twice") == first
        first.set_archived(True)
        assert Task.get_task(project_name="known", task_name="twice") == second
        second.set_archived(True)
        assert Task.get_task(project_name="known", task_name="twice") == second
        assert Task.get_task(task_name="twice", allow_archived=False) is None

    def test_a_list_of_ids_keeps_its_order_and_names_all_that_are_unknown(self) -> None:
        one, two = draft(), draft()
        assert Task.get_tasks(task_ids=[two.id, one.id]) == [two, one]
        assert Task.get_tasks(task_ids=one.id) == [one]
        with pytest.raises(ValueError, match=r"no task 0{32}, f{32}") as caught:
            Task.get_tasks(task_ids=["0" * 32, one.id, "f" * 32])
        assert isinstance(caught.value, NotFound)

    def test_what_a_list_leaves_out_is_there_when_it_is_looked_at(self) -> None:
        task = draft("with a diff")
        task.set_script(diff="+x", branch="main")
        (found,) = Task.get_tasks(task_name="^with a diff$")
        assert found.data.script.diff == "+x"
        (fields,) = Task.query_tasks(
            task_name="^with a diff$", additional_return_fields=["script.diff", "script.tag"]
        )
        assert fields == {"id": task.id, "script.diff": "+x", "script.tag": None}

    def test_get_all_answers_as_the_api_of_clearml(self) -> None:
        task = draft("for get_all")
        (found,) = Task.get_all(name="for get_all", status=["created"]).response.tasks
        assert (found.id, found.status) == (task.id, "created")

    @pytest.mark.parametrize(
        ("ask", "kind", "said"),
        [
            (Task.get_task, InvalidInput, "give task_id, or something"),
            (lambda: Task.get_task(task_id="0" * 32), ValueError, "0000"),
            (lambda: Task.get_task(task_id=3), TypeError, "task_id 3 is no text"),
            (lambda: Task.get_tasks(task_filter="status"), TypeError, "is no dict"),
            (lambda: Task.get_tasks(task_filter={"colour": 1}), ValueError, "no 'colour'"),
            (lambda: Task.get_tasks(task_name="(a"), ValueError, "no regular expression"),
            (lambda: Task.get_projects(colour=1), ValueError, "no 'colour'"),
            (lambda: Task.get_num_enqueued_tasks("no"), ValueError, "there are: default, gpu"),
            (lambda: Task.get_num_enqueued_tasks("a", "b"), UsageError, "not both"),
        ],
    )
    def test_bad_input(self, ask: Callable[[], Any], kind: type[Exception], said: str) -> None:
        with pytest.raises(kind, match=said):
            ask()


class TestMoved:
    def test_force_enqueues_what_is_completed(self) -> None:
        task = draft()
        task.mark_completed(force=True)
        with pytest.raises(IllegalTransition):
            Task.enqueue(task, "gpu")
        assert Task.enqueue(task, queue_name="gpu", force=True).queued == 1
        assert (task.status, task.get_executed_queue(return_name=True)) == ("queued", "gpu")
        assert Task.get_num_enqueued_tasks("gpu") == 1
        queue_id = task.get_executed_queue()
        assert Task.get_num_enqueued_tasks(queue_id=queue_id) == 1
        assert Task.dequeue(task).dequeued == 1
        assert Task.enqueue(task.id, queue_id=queue_id).fields["execution.queue"] == "gpu"
        task.reset()
        assert task.status == "created"

    def test_a_clone_may_be_told_its_parent_and_project_in_any_way(self) -> None:
        source, parent = draft(), draft()
        project = Task.get_project_id("known")
        clone = Task.clone(source, "copy", "said", parent, project)
        assert (clone.name, clone.comment, clone.parent) == ("copy", "said", parent.id)
        assert (clone.project, clone.get_project_name()) == (project, "known")
        assert Task.clone(clone).parent == parent.id
        assert Task.clone(source).parent == source.id
        with pytest.raises(WrongType, match="source_task None is neither"):
            Task.clone()
        with pytest.raises(ValueError, match="no task"):
            Task.clone("0" * 32)

    def test_an_import_replaces_and_an_update_merges(self) -> None:
        task = draft()
        task.set_parameters({"General/a": 1, "General/b": 2})
        task.set_configuration_object("net", "layers: 1")
        data = task.export_task()
        del data["hyperparams"]["General"]["b"]
        data["configuration"] = {}
        target = Task.clone(task, name="target")
        assert Task.import_task(data, target, update=True) == target
        target.reload()
        assert target.get_parameters() == {"General/a": "1", "General/b": "2"}
        Task.import_task(data, target.id)
        target.reload()
        assert target.get_parameters() == {"General/a": "1"}
        assert target.get_configuration_objects() == {}
        with pytest.raises(TypeError, match="task_data is a str"):
            Task.import_task("data")
        with pytest.raises(ValueError, match="names no project"):
            Task.import_task({"name": "x"})

    def test_who_deletes_is_asked_and_a_published_task_stays(self) -> None:
        task = draft()
        task.mark_completed(force=True)
        assert task.publish()
        assert task.publish(), "it stands already"
        assert not task.delete()
        with pytest.raises(Task.DeleteError, match="is published"):
            task.delete(raise_on_error=True)
        with pytest.raises(NotEditable):
            task.set_task_type("qc")
        task.set_tags(["still"])
        assert task.delete(force=True)


class TestEnds:
    def test_a_pending_task_is_stopped_at_once(self) -> None:
        task = draft()
        Task.enqueue(task, "gpu")
        task.mark_stopped(status_message="not needed")
        assert task.get_status_message() == ("stopped", "not needed")

    def test_what_is_not_allowed_is_said_or_raised(self, capsys: Any) -> None:
        task = draft()
        assert not task.mark_completed()
        assert "only a running task can be marked" in capsys.readouterr().err
        with pytest.raises(IllegalTransition):
            task.mark_failed(ignore_errors=False)
        with pytest.raises(ValueError, match="has ended can be published"):
            task.publish()
        with pytest.raises(ValueError, match="'done' is no state"):
            task.wait_for_status("done")

    def test_a_running_task_is_stopped_before_it_is_reset(self) -> None:
        task = draft()
        task.mark_started()
        with pytest.raises(IllegalTransition):
            task.reset()
        task.mark_stopped()
        task.reset(set_started_on_success=True)
        assert task.status == "in_progress"
        task.mark_stopped()

    def test_a_start_that_is_refused_is_said_unless_errors_matter(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        task = draft()
        task.started()
        task.mark_completed()
        task.started(ignore_errors=True)
        assert "not marked" in capsys.readouterr().err
        with pytest.raises(IllegalTransition):
            task.started(ignore_errors=False)

    def test_a_commit_that_no_agent_can_fetch_is_said_when_it_is_enqueued(
        self, live: Live, capsys: pytest.CaptureFixture[str]
    ) -> None:
        task = draft()
        live.client.edit_task(task.id, execution={"commit": "a" * 40})
        live.client.create_queue("elsewhere")
        Task.enqueue(task, "elsewhere")
        assert "commit aaaaaaaa of a repository without a remote" in capsys.readouterr().err
        Task.dequeue(task)


class TestFacts:
    def test_addresses_and_folders_of_a_task(self, tmp_path: Path, live: Live) -> None:
        task = draft()
        assert task.cache_dir == tmp_path / "cache" / "tasks" / task.id
        assert task.get_output_destination() is task.storage_uri is None
        task.storage_uri = f"file://{tmp_path}/out/"
        assert task.get_output_destination("more") == f"file://{tmp_path}/out/more"
        page = Task.get_task_output_log_web_page(task.id, task.project)
        assert page == task.get_output_log_web_page() == f"{live.url}/#/tasks/{task.id}"
        assert [Task.resolve_id(task), Task.resolve_id(" x "), Task.normalize_id(" x ")] == [
            task.id,
            " x ",
            "x",
        ]

    def test_classes_are_counted_and_named_by_its_labels(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        task = draft()
        assert task.get_num_of_classes() == 0
        task.set_model_label_enumeration({"cat": 2, "background": 0})
        assert task.get_num_of_classes() == 3
        assert "the highest label is 2, while 1 labels" in capsys.readouterr().err
        assert task.get_label_num_description() == {0: "background", 2: "cat"}
        task.set_model_label_enumeration({"cat": 1, "dog": 1})
        with pytest.raises(ValueError, match="'cat' and 'dog' are both 1"):
            task.get_label_num_description()
        (tmp_path / "net.txt").write_text("layers: 3")
        task.update_model_desc(tmp_path / "net.txt")
        assert task.get_model_config_text() == "layers: 3"
        with pytest.raises(ValueError, match=r"absent\.txt"):
            task.update_model_desc(tmp_path / "absent.txt")


class TestCode:
    def test_a_folder_stands_for_its_remote(self, tmp_path: Path) -> None:
        repository = Repository(tmp_path / "vision").write(train_py="print('one')\n")
        repository.commit()
        task = draft()
        with pytest.raises(ValueError, match="has no remote"):
            task.set_repo(str(repository.root))
        task.set_repo("https://example.org/r.git", branch="main", commit="")
        assert task.get_script()["repository"] == "https://example.org/r.git"
        task.set_script(entry_point="run.sh", working_dir="src", binary="/bin/bash")
        assert task.data.script.binary == "/bin/bash"
        task.set_script(binary="python3.11")
        assert task.data["execution"]["python_version"] == "3.11"

    def test_a_container_is_said_in_one_text_or_in_parts(self) -> None:
        task = draft(docker="a:1", docker_args="--x", docker_bash_setup_script="apt update")
        assert task.get_base_docker() == "a:1 --x"
        assert task.data.container.setup_shell_script == "apt update"
        task.set_base_docker("b:2 -e A=1")
        assert (
            task.data.container.to_dict()
            == {
                "image": "b:2",
                "arguments": "-e A=1",
                "setup_shell_script": "",
                "setup_script": "",
            }
            or task.get_base_docker() == "b:2 -e A=1"
        )
        task.set_base_docker(docker_arguments="-e A=1")  # for the image of its queue
        assert task.get_base_docker() == "-e A=1"

    def test_shell_scripts_and_modules_with_arguments(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "run.sh").write_text("echo hello\n")
        (tmp_path / "train.py").write_text("print('hello')\n")
        monkeypatch.chdir(tmp_path)
        shell = draft(script="run.sh", packages=False).data["execution"]
        assert (shell["binary"], shell["bootstrap"]) == ("/bin/bash", False)
        module = draft(module="train --epochs 3", packages=False).data["execution"]
        assert (module["entry_point"], module["arguments"]) == ("-m train", ["--epochs", "3"])
        with pytest.raises(UsageError, match="not both"):
            draft(script="train.py", module="train")
        with pytest.raises(ValueError, match="base_task_id"):
            Task.create(base_task_id="0" * 32)
        with pytest.raises(ValueError, match="'nice' is no TaskTypes"):
            draft(task_type="nice")
