"""``dray task``: find, show, edit, clone, move, delete."""

from pathlib import Path

from dray.runtime.execution import Container, EnvironmentReport
from dray.runtime.states import State
from tests.unit.cli.conftest import Cli, Server


def test_a_pipe_gets_one_tab_separated_line_per_task_with_whole_ids(
    cli: Cli, server: Server
) -> None:
    first, second = server.draft("one"), server.draft("two")
    rows = cli("task", "list").rows
    assert [row[0] for row in rows] == [second.id, first.id]
    assert [row[1] for row in rows] == ["draft", "draft"]


def test_a_name_with_a_tab_stays_in_its_column(cli: Cli, server: Server) -> None:
    server.draft("odd\tname\nof two lines")
    (row,) = cli("task", "list").rows
    assert row[3] == r"odd\tname\nof two lines"


def test_a_name_cannot_send_escape_codes_to_a_terminal(cli: Cli, server: Server) -> None:
    server.draft("\x1b[31mred")
    assert "\x1b" not in cli("task", "list").out


def test_json_gives_everything(cli: Cli, server: Server) -> None:
    task = server.draft(tags=["a"])
    (listed,) = cli("task", "list", "--json").json
    assert (listed["id"], listed["tags"], listed["state"]) == (task.id, ["a"], "draft")


def test_the_list_is_filtered(cli: Cli, server: Server) -> None:
    wanted = server.draft("wanted", project="a/b", tags=["good"])
    server.draft("other", project="c")
    for option in (["--project", "a"], ["--name", "want"], ["--tag", "good"]):
        assert [row[0] for row in cli("task", "list", *option).rows] == [wanted.id]
    assert cli("task", "list", "--state", "failed").rows == []


def test_a_cut_list_says_so(cli: Cli, server: Server) -> None:
    for number in range(3):
        server.draft(f"task {number}")
    answer = cli("task", "list", "--limit", "2")
    assert len(answer.rows) == 2
    assert "--all" in answer.err
    assert len(cli("task", "list", "--all").rows) == 3


def test_show_by_a_unique_prefix(cli: Cli, server: Server) -> None:
    task = server.draft("mine")
    assert cli("task", "show", task.id[:8], "--json").json["id"] == task.id


def test_an_ambiguous_prefix_lists_what_it_fits(cli: Cli, server: Server) -> None:
    server.draft("one", id="aaaa" + "0" * 28)
    server.draft("two", id="aaaa" + "1" * 28)
    answer = cli("task", "show", "aaaa")
    assert answer.code == 2
    assert "aaaa0000" in answer.err
    assert "aaaa1111" in answer.err


def test_show_says_how_it_ended_and_what_the_console_came_to(cli: Cli, server: Server) -> None:
    task = server.ended(3, "hello\n", parameters={"Args/lr": {"value": "0.1"}})
    facts = dict(line.split("\t", 1) for line in cli("task", "show", task.id).out.splitlines())
    assert facts["state"] == "failed"
    assert facts["cause"] == "exited with code 3"
    assert facts["Args/lr"] == "0.1"
    assert facts["stdout"].startswith("6 bytes, stored exactly")
    assert facts["page"].endswith(f"/#/tasks/{task.id}")


def test_show_says_why_a_pending_task_waits(cli: Cli, server: Server) -> None:
    server.client.create_queue("gpu")
    task = server.draft()
    server.client.enqueue(task.id, "gpu")
    assert cli("task", "show", task.id, "--json").json["why"] == server.client.why(task.id).reason


def test_edit_changes_a_draft(cli: Cli, server: Server) -> None:
    task = server.draft(parameters={"Args/lr": {"value": "0.1"}, "Args/seed": {"value": "1"}})
    options = ["--name", "better", "--args", "lr=0.2", "--args", "General/x=1", "--gpus", "0.5"]
    assert cli("task", "edit", task.id[:8], *options, "--property", "team=vision").code == 0
    edited = server.client.get_task(task.id)
    values = {name: p.value for name, p in edited.parameters.items()}
    assert values == {"Args/lr": "0.2", "Args/seed": "1", "General/x": "1"}
    assert edited.name == "better"
    assert edited.properties == {"team": "vision"}
    assert (edited.execution.resources.cpus, edited.execution.resources.gpus) == (1, 0.5)


def test_edit_needs_something_to_change(cli: Cli, server: Server) -> None:
    assert cli("task", "edit", server.draft().id).code == 2


def test_only_a_draft_takes_other_parameters(cli: Cli, server: Server) -> None:
    task = server.ended()
    answer = cli("task", "edit", task.id, "--args", "lr=1")
    assert answer.code == 2
    assert "clone" in answer.err
    assert cli("task", "edit", task.id, "--comment", "the good one").code == 0


def test_args_without_an_equals_sign_are_refused(cli: Cli, server: Server) -> None:
    answer = cli("task", "edit", server.draft().id, "--args", "lr")
    assert answer.code == 2
    assert "NAME=VALUE" in answer.err


def test_clone_changes_an_argument_and_queues(cli: Cli, server: Server) -> None:
    server.client.create_queue("default")
    task = server.ended(parameters={"Args/lr": {"value": "0.1"}})
    options = ["--args", "lr=0.2", "--name", "again", "--queue", "default"]
    answer = cli("task", "clone", task.id[:6], *options)
    clone = server.client.get_task(answer.out.strip())
    assert (clone.name, clone.parameters["Args/lr"].value) == ("again", "0.2")
    assert (clone.state, clone.parent_id) == (State.PENDING, task.id)


def test_a_task_goes_in_and_out_of_a_queue(cli: Cli, server: Server) -> None:
    server.client.create_queue("gpu")
    task = server.draft()
    answer = cli("task", "enqueue", task.id, "--queue", "gpu", "--priority", "5")
    assert answer.out.strip() == task.id
    assert server.client.get_task(task.id).priority == 5
    assert [row[0] for row in cli("queue", "show", "gpu").rows] == [task.id]
    assert cli("task", "dequeue", task.id).rows == [[task.id, "draft"]]


def test_a_queue_nobody_serves_is_warned_of(cli: Cli, server: Server) -> None:
    server.do(server.store.queues.create("manual", elastic=False))
    answer = cli("task", "enqueue", server.draft().id, "--queue", "manual")
    assert answer.code == 0
    assert "warning" in answer.err


def test_what_the_state_does_not_allow_is_refused_with_what_it_does(
    cli: Cli, server: Server
) -> None:
    answer = cli("task", "dequeue", server.draft().id)
    assert answer.code == 2
    assert "is draft" in answer.err
    assert "enqueue" in answer.err


def test_abort_takes_several_tasks(cli: Cli, server: Server) -> None:
    server.client.create_queue("gpu")
    tasks = [server.draft(f"task {n}") for n in range(2)]
    for task in tasks:
        server.client.enqueue(task.id, "gpu")
    answer = cli("task", "abort", *(t.id for t in tasks), "--reason", "wrong data")
    assert answer.rows == [[t.id, "aborted"] for t in tasks]
    assert server.client.get_task(tasks[0].id).cause.message == "wrong data"


def test_reset_and_publish(cli: Cli, server: Server) -> None:
    first, second = server.ended(), server.ended()
    assert cli("task", "reset", first.id).rows == [[first.id, "draft"]]
    assert cli("task", "publish", second.id).rows == [[second.id, "published"]]


def test_delete(cli: Cli, server: Server) -> None:
    task = server.draft()
    assert cli("task", "delete", task.id).code == 0
    assert cli("task", "show", task.id).code == 2


def test_wait_ends_with_1_when_a_task_failed(cli: Cli, server: Server) -> None:
    good, bad = server.ended(0), server.ended(1)
    assert cli("task", "wait", good.id).code == 0
    assert cli("task", "wait", good.id, bad.id).code == 1


def test_wait_for_a_state(cli: Cli, server: Server) -> None:
    bad = server.ended(1)
    assert cli("task", "wait", bad.id, "--state", "failed").code == 0
    assert cli("task", "wait", bad.id, "--state", "completed").code == 1
    answer = cli("task", "wait", bad.id, "--state", "done")
    assert answer.code == 2
    assert "completed" in answer.err


def test_wait_gives_up_in_time(cli: Cli, server: Server) -> None:
    answer = cli("task", "wait", server.draft().id, "--timeout", "0.1")
    assert answer.code == 1
    assert "still draft" in answer.err


def test_diff_names_what_two_tasks_do_not_share(cli: Cli, server: Server) -> None:
    left = server.draft(
        parameters={"Args/lr": {"value": "0.1"}, "Args/seed": {"value": "1"}},
        execution={"packages": ["numpy==1.26", "torch==2.4"], "commit": "aaa", "branch": "main"},
    )
    right = server.draft(
        parameters={"Args/lr": {"value": "0.2"}, "Args/seed": {"value": "1"}},
        execution={"packages": ["numpy==2.0", "torch==2.4"], "commit": "bbb", "branch": "main"},
    )
    found = {(row[0], row[1]): row[2:] for row in cli("task", "diff", left.id, right.id).rows}
    assert found == {
        ("execution", "commit"): ["aaa", "bbb"],
        ("parameters", "Args/lr"): ["0.1", "0.2"],
        ("packages", "numpy"): ["==1.26", "==2.0"],
    }


def test_diff_of_equal_tasks_is_empty(cli: Cli, server: Server) -> None:
    task = server.draft()
    clone = server.client.clone_task(task.id)
    assert cli("task", "diff", task.id, clone.id).out == ""


def test_what_surrounds_its_process_is_edited_and_taken_away(
    cli: Cli, server: Server, tmp_path: Path
) -> None:
    script = tmp_path / "setup.sh"
    script.write_text("export A=1\n")
    task = server.draft()
    options = ["--setup-script", str(script), "--env", "N=3", "--env", "M=a=b", "--manager", "pip"]
    folders = ["--python-path", "src", "--image", "python:3.12", "--system-package", "libgl1"]
    assert cli("task", "edit", task.id, *options, *folders).code == 0
    execution = server.client.get_task(task.id).execution
    assert execution.setup_script == "export A=1\n"
    assert execution.variables == {"N": "3", "M": "a=b"}
    assert (execution.python_path, execution.system_packages) == (["src"], ["libgl1"])
    assert cli("task", "edit", task.id, "--container-arguments", "--ipc=host").code == 0
    assert server.client.get_task(task.id).execution.container == Container(
        "python:3.12", "--ipc=host"
    )
    assert cli("task", "edit", task.id, "--image", "", "--env", "", "--setup-script", "").code == 0
    execution = server.client.get_task(task.id).execution
    assert (execution.container, execution.variables) == (Container(), {})
    assert (execution.setup_script, execution.environment_manager) == ("", "pip")
    assert cli("task", "edit", task.id, "--env", "N").code == 2


def test_a_clone_installs_what_was_built_for_its_source(cli: Cli, server: Server) -> None:
    run = server.running(execution={"packages": ["numpy"]})
    report = EnvironmentReport("k", False, 1.0, "3.11.7", ["numpy==2.1.0"], manager="uv")
    server.do(server.store.attempts.set_environment(run.task_id, run.epoch, report))
    answer = cli("task", "clone", run.task_id, "--packages", "resolved")
    assert server.client.get_task(answer.out.strip()).execution.packages == ["numpy==2.1.0"]
    answer = cli("task", "clone", run.task_id)
    assert server.client.get_task(answer.out.strip()).execution.packages == ["numpy"]
    refused = cli("task", "clone", server.draft().id, "--packages", "resolved")
    assert (refused.code, "never prepared by an agent" in refused.err) == (2, True)
