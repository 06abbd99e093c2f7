"""Budgets, limits, going on, ends of several tasks at once: what happens to a task in time."""

from __future__ import annotations

from dray.runtime import causes
from dray.runtime.machine import Finish, LoseContact, ProveDead
from dray.runtime.models import OnLost, Policy, Task
from dray.runtime.states import State
from dray.runtime.store import By, ClaimRequest
from tests.unit.cli.conftest import Answer, Cli, Server

BY = By("tester")
LIMITS = ("--retries", "2", "--retry-delay", "1m", "--max-run-time", "2h30m", "--on-lost", "wait")
POLICY = Policy(OnLost.WAIT, retries=2, retry_delay_s=60.0, max_run_time_s=9000.0)


def facts(answer: Answer) -> dict[str, str]:
    return dict(line.split("\t", 1) for line in answer.out.splitlines())


def claimed(server: Server, task: Task, agent: str = "agent-1") -> int:
    """The epoch under which an agent runs a pending task."""
    request = ClaimRequest(task.id, agent, "node-1", f"{agent}-claim", 30.0)
    (assignment,) = server.do(server.store.attempts.claim([request], BY))
    return int(assignment.epoch)


def lost(server: Server, task: Task, agent: str) -> None:
    """An agent takes the task and dies."""
    epoch = claimed(server, task, agent)
    dead = ProveDead(epoch, f"the process of {agent} is gone", agent_died=True)
    server.do(server.store.tasks.apply(task.id, dead, BY))


class TestPolicyOptions:
    def test_a_new_task_takes_them(self, cli: Cli, server: Server) -> None:
        repo = ("--repo", "https://example.org/r.git")
        answer = cli("task", "create", "train.py", *repo, *LIMITS)
        assert server.client.get_task(answer.out.strip()).policy == POLICY

    def test_a_draft_changes_what_is_given_and_keeps_the_rest(
        self, cli: Cli, server: Server
    ) -> None:
        task = server.draft(policy=POLICY)
        assert cli("task", "edit", task.id, "--max-run-time", "none", "--retries", "0").code == 0
        edited = server.client.get_task(task.id).policy
        assert edited == Policy(OnLost.WAIT, retry_delay_s=60.0)

    def test_a_clone_and_an_enqueued_draft_take_them_too(self, cli: Cli, server: Server) -> None:
        server.client.create_queue("default")
        clone = cli("task", "clone", server.ended().id, *LIMITS).out.strip()
        assert server.client.get_task(clone).policy == POLICY
        assert cli("task", "enqueue", clone, "--max-requeues", "1").code == 0
        assert server.client.get_task(clone).policy.max_requeues == 1

    def test_a_bad_duration_is_named_with_what_would_do(self, cli: Cli, server: Server) -> None:
        answer = cli("task", "edit", server.draft().id, "--max-run-time", "soon")
        assert answer.code == 2
        assert "--max-run-time 'soon'" in answer.err
        assert "2h30m" in answer.err

    def test_a_task_that_ended_keeps_its_policy(self, cli: Cli, server: Server) -> None:
        server.client.create_queue("default")
        answer = cli("task", "enqueue", server.ended(1).id, "--retries", "3")
        assert answer.code == 2
        assert "policy can be edited in a draft only; clone it" in answer.err

    def test_a_run_started_here_is_not_run_again_by_itself(self, cli: Cli) -> None:
        answer = cli("run", "--local", "train.py", "--retries", "3")
        assert (answer.code, "--retries is for a task in a queue" in answer.err) == (2, True)


class TestShow:
    def test_budgets_and_every_attempt_with_its_cause_and_evidence(
        self, cli: Cli, server: Server
    ) -> None:
        server.client.create_queue("gpu")
        task = server.draft(policy=Policy(retries=2, retry_delay_s=90.0))
        server.client.enqueue(task.id, "gpu")
        lost(server, task, "agent-1")
        epoch = claimed(server, task, "agent-2")
        failed = causes.exited(3).with_evidence("ValueError: too hot")
        server.do(server.store.tasks.apply(task.id, Finish(epoch, failed, at=5e9), BY))
        shown = facts(cli("task", "show", task.id))
        assert (shown["requeued"], shown["retried"]) == ("1 of 3", "1 of 2")
        assert shown["first retry after"] == "1m30s"
        assert shown["next retry"].startswith("2128-")
        assert shown["attempt 1"].startswith("agent-1, ")
        assert shown["attempt 1"].endswith("its agent was lost")
        assert shown["evidence 1"] == "the process of agent-1 is gone"
        assert shown["cause"] == "exited with code 3"
        assert len(cli("task", "show", task.id, "--json").json["attempts"]) == 2

    def test_a_quarantined_task_says_what_died_under_it(self, cli: Cli, server: Server) -> None:
        server.client.create_queue("gpu")
        task = server.draft(policy=Policy(quarantine_after=2))
        server.client.enqueue(task.id, "gpu")
        lost(server, task, "agent-1")
        lost(server, task, "agent-2")
        shown = facts(cli("task", "show", task.id))
        assert shown["state"] == "failed"
        assert shown["cause"].startswith("2 agents died while they ran it (agent-1, agent-2)")
        assert shown["quarantined after"].startswith("2 agents")

    def test_an_unreachable_local_run_names_the_way_out(self, cli: Cli, server: Server) -> None:
        run = server.running()
        server.do(server.store.attempts.renew(run.task_id, run.epoch, 1e-6))  # and never again
        server.do(server.store.tasks.apply(run.task_id, LoseContact(run.epoch), BY))
        shown = facts(cli("task", "show", run.task_id))
        assert shown["phase"] == "unreachable"
        assert shown["unreachable since"]
        way_out = f"dray task mark {run.task_id[:8]} aborted"
        assert way_out in shown["unreachable"]
        assert cli("task", "mark", run.task_id[:8], "aborted", "--reason", "laptop lost").code == 0
        assert facts(cli("task", "show", run.task_id))["cause"] == "laptop lost"


def test_an_enqueued_failure_says_from_where_it_goes_on(cli: Cli, server: Server) -> None:
    server.client.create_queue("default")
    run = server.running()
    run.record("scalar", title="loss", series="train", i=119, v=0.5)
    run.end({"kind": "exit_code", "message": "exited with code 1", "exit_code": 1})
    answer = cli("task", "enqueue", run.task_id)
    assert f"Task {run.task_id[:8]} goes on as attempt 2 from iteration 120" in answer.err
    claimed(server, server.client.get_task(run.task_id))
    assert facts(cli("task", "show", run.task_id))["counts from iteration"] == "120"


def test_mark_knows_three_ends(cli: Cli, server: Server) -> None:
    run = server.running()
    answer = cli("task", "mark", run.task_id, "done")
    assert answer.code == 2
    assert "'done' is none of completed, failed, aborted" in answer.err
    assert cli("task", "mark", run.task_id, "completed").rows == [[run.task_id, "completed"]]


class TestAbort:
    def test_followers_end_too_and_are_told(self, cli: Cli, server: Server) -> None:
        server.client.create_queue("default")
        parent = server.running()
        child = server.draft(parent_id=parent.task_id)
        grandchild = server.draft(parent_id=child.id)
        server.client.enqueue(grandchild.id, "default")
        clone = server.client.clone_task(parent.task_id)  # comes from it, and does not follow it
        server.client.enqueue(child.id, "default")
        server.client.enqueue(clone.id, "default")
        alone = server.draft()
        server.client.enqueue(alone.id, "default")
        answer = cli("task", "abort", parent.task_id, alone.id)
        assert sorted(answer.rows) == sorted(
            [
                [parent.task_id, "running"],
                [child.id, "aborted"],
                [grandchild.id, "aborted"],
                [alone.id, "aborted"],
            ]
        )
        assert f"Task {parent.task_id[:8]} ends with 2 tasks that followed it" in answer.err
        assert server.client.get_task(clone.id).state is State.PENDING

    def test_wait_returns_when_they_have_ended(self, cli: Cli, server: Server) -> None:
        server.client.create_queue("default")
        task = server.draft()
        server.client.enqueue(task.id, "default")
        assert cli("task", "abort", "--wait", task.id).rows == [[task.id, "aborted"]]
