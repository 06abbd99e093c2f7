"""Budgets, stops, drained agents, retries that rest, idempotency keys."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_BUDGETS = "failures are tried again within bounds, by separate budgets"
_STOPPED = "what was asked to stop never runs again"
_ONCE = "a repeated request is done once"
_FINAL = "invariant 4"

_MACHINE = "runtime/machine.py"
_TESTS = "tests/unit/runtime/test_machine.py"

_OF_MACHINE = (
    Mutant(
        "retries-are-bounded",
        "A task that fails by itself is tried again for ever.",
        _BUDGETS,
        _MACHINE,
        "if may_retry and head.n_retries < head.policy.retries:",
        "if may_retry:",
        (f"{_TESTS}::test_a_failure_of_its_own_is_retried_within_the_bound_after_a_growing_delay",),
    ),
    Mutant(
        "retries-wait",
        "A task that fails at once is tried again at once.",
        _BUDGETS,
        _MACHINE,
        "            not_before=command.at + delay_s,\n",
        "",
        (f"{_TESTS}::test_a_failure_of_its_own_is_retried_within_the_bound_after_a_growing_delay",),
    ),
    Mutant(
        "only-what-may-help-is-retried",
        "What would only fail again, or was stated by somebody, is tried again.",
        _BUDGETS,
        _MACHINE,
        'may_retry = causes.may_be_retried(cause) and head.queue != ""',
        'may_retry = event is Event.FAIL and head.queue != ""',
        (f"{_TESTS}::test_what_would_only_come_again_or_was_stated_is_not_retried",),
    ),
    Mutant(
        "requeues-are-bounded",
        "A task whose workers are lost is tried again for ever.",
        _BUDGETS,
        _MACHINE,
        "if may_requeue and head.n_requeues < head.policy.max_requeues:",
        "if may_requeue:",
        (
            f"{_TESTS}"
            "::test_a_lost_worker_requeues_within_the_bound_and_only_where_there_is_a_queue",
        ),
    ),
    Mutant(
        "lost-workers-eat-no-retries",
        "A lost worker uses up a retry of the user's.",
        _BUDGETS,
        _MACHINE,
        "    if causes.is_infrastructure(cause):\n        return _lose(head, cause)\n",
        "",
        (f"{_TESTS}::test_the_two_budgets_are_separate",),
    ),
    Mutant(
        "waiting-tasks-do-not-run-again",
        "A task that is to wait for its worker is run again elsewhere.",
        "on_lost=wait",
        _MACHINE,
        'may_requeue = head.policy.on_lost is OnLost.REQUEUE and head.queue != ""',
        'may_requeue = head.queue != ""',
        (
            "tests/contract/test_store_transitions.py"
            "::test_a_policy_that_waits_fails_what_is_proved_dead",
        ),
    ),
    Mutant(
        "quarantine",
        "A task takes down one agent after the other.",
        "a task under which three agents die is quarantined",
        _MACHINE,
        "if 0 < head.policy.quarantine_after <= len(head.lost_agents):",
        "if 0 < head.policy.quarantine_after <= 0:",
        (f"{_TESTS}::test_a_task_under_which_different_agents_die_is_put_in_quarantine",),
    ),
    Mutant(
        "quarantine-counts-deaths-only",
        "A network that blinks puts healthy tasks in quarantine.",
        "a healthy task is left alone",
        _MACHINE,
        "if agent_died and head.agent not in head.lost_agents:",
        "if head.agent not in head.lost_agents:",
        (f"{_TESTS}::test_agents_that_only_lost_contact_put_nothing_in_quarantine",),
    ),
    Mutant(
        "budgets-anew",
        "A task that somebody runs again has the budgets of its last life.",
        _BUDGETS,
        _MACHINE,
        "    return replace(_anew(after), queue=command.queue)",
        "    return replace(after, queue=command.queue)",
        (f"{_TESTS}::test_a_new_life_may_be_requeued_as_often_as_the_first",),
    ),
    Mutant(
        "stopped-is-not-retried",
        "A task that was asked to stop is tried again when its process fails of it.",
        _STOPPED,
        _MACHINE,
        "    if asked is not None and cause.kind not in _STATED and event is not Event.COMPLETE:\n",
        "    if asked is not None and asked == cause:\n",
        (f"{_TESTS}::test_nothing_brings_back_a_task_that_was_asked_to_stop",),
    ),
    Mutant(
        "stopped-is-not-requeued",
        "A task that was asked to stop runs again when its worker is lost.",
        _STOPPED,
        _MACHINE,
        "    if asked is not None:\n        return _ended(head, causes.end_event(asked), asked)\n",
        "",
        (f"{_TESTS}::test_a_stop_asked_for_while_unreachable_is_not_forgotten",),
    ),
    Mutant(
        "stop-kept-while-unreachable",
        "A stop that is asked for while an attempt is silent is forgotten when it comes back.",
        _STOPPED,
        _MACHINE,
        "            return replace(head, phase_before=Phase.STOPPING, cause=command.cause)\n",
        "            return head\n",
        (f"{_TESTS}::test_a_stop_asked_for_while_unreachable_is_not_forgotten",),
    ),
    Mutant(
        "first-stop-counts",
        "Who asks last is said to have stopped a task.",
        _FINAL,
        _MACHINE,
        "        if head.phase is Phase.STOPPING or head.phase_before is Phase.STOPPING:\n"
        "            return head\n",
        "",
        (f"{_TESTS}::test_a_stop_of_a_pending_task_is_its_end_and_of_a_running_one_a_request",),
    ),
    Mutant(
        "completed-is-final",
        "A completed task runs again.",
        _FINAL,
        "runtime/states.py",
        "        (State.FAILED, Event.ENQUEUE): State.PENDING,\n",
        "        (State.FAILED, Event.ENQUEUE): State.PENDING,\n"
        "        (State.COMPLETED, Event.ENQUEUE): State.PENDING,\n",
        (f"{_TESTS}::test_a_completed_task_is_final",),
    ),
    Mutant(
        "followers-are-stopped",
        "Aborting a task leaves those that follow it running.",
        "aborting ends a task and those that follow it",
        "runtime/store/tasks.py",
        '                await transitions.apply(connection, now, row["id"], command, by)\n',
        "                _ = command\n",
        (
            "tests/contract/test_store_budgets.py"
            "::test_stopping_a_parent_stops_what_follows_it_and_nothing_else",
        ),
    ),
    Mutant(
        "only-followers-are-stopped",
        "Aborting a task aborts tasks that only come from it.",
        "a healthy task is left alone",
        "runtime/store/tasks.py",
        "WHERE parent_id = ? AND parent_id <> '' AND follows_parent\n",
        "WHERE parent_id = ? AND parent_id <> ''\n",
        (
            "tests/contract/test_store_budgets.py"
            "::test_what_only_comes_from_a_task_is_not_stopped_with_it",
        ),
    ),
)

_POLICY = "runtime/policy.py"
_IDEMPOTENCY = "api/idempotency.py"
_KEY_TESTS = "tests/unit/api/test_idempotency.py"

_OF_OTHERS = (
    Mutant(
        "drained-agent-gets-nothing",
        "An agent that fails every task goes on getting them.",
        "an agent that fails tasks by its own fault is drained",
        _POLICY,
        "return 0 if self.drained else self.slots - self.n_running",
        "return self.slots - self.n_running",
        ("tests/unit/runtime/test_policy.py::test_a_drained_agent_gets_nothing_and_says_why",),
    ),
    Mutant(
        "drained-agent-is-not-waited-for",
        "A task waits for an agent that starts and takes no work.",
        "an agent that fails tasks by its own fault is drained",
        _POLICY,
        "if not a.ready and not a.drained}",
        "if not a.ready}",
        (
            "tests/unit/runtime/test_policy.py::test_a_drained_agent_that_is_starting_is_not_waited_for",
        ),
    ),
    Mutant(
        "one-claim-a-slot",
        "An agent gets more tasks than it has room for.",
        "what agents hold never exceeds a node",
        _POLICY,
        "        board.slots[warm.name] -= 1\n",
        "",
        (
            "tests/unit/runtime/test_policy.py"
            "::test_claims_go_to_ready_free_agents_of_the_right_shape_that_are_not_retired",
        ),
    ),
    Mutant(
        "retry-rests",
        "A retry is placed before its time.",
        _BUDGETS,
        "runtime/ordering.py",
        "return entry.not_before is None or not 0 < entry.not_before - now <= MAX_RETRY_DELAY_S",
        "return entry.not_before is None or now >= 0",
        (
            "tests/unit/runtime/test_ordering.py"
            "::test_a_retry_rests_until_it_is_due_and_then_takes_its_place",
        ),
    ),
    Mutant(
        "retry-rests-an-hour-at-most",
        "A clock that was put back lets a retry rest for a day.",
        "no task waits for ever",
        "runtime/ordering.py",
        "not 0 < entry.not_before - now <= MAX_RETRY_DELAY_S",
        "not 0 < entry.not_before - now",
        (
            "tests/unit/runtime/test_ordering.py"
            "::test_a_retry_does_not_wait_for_a_clock_that_was_put_back",
        ),
    ),
    Mutant(
        "key-is-answered-again",
        "A creation that is repeated with its key is done again.",
        _ONCE,
        _IDEMPOTENCY,
        "            if known is None:\n",
        "            if known is None or known.status:\n",
        (f"{_KEY_TESTS}::test_a_repeated_creation_makes_one_task",),
    ),
    Mutant(
        "key-of-one-request",
        "A request is answered with what another one made.",
        _ONCE,
        _IDEMPOTENCY,
        "if known.fingerprint != fingerprint:",
        "if not known.fingerprint:",
        (f"{_KEY_TESTS}::test_a_key_belongs_to_one_request",),
    ),
    Mutant(
        "key-of-one-caller",
        "A task is answered with what somebody else made.",
        _ONCE,
        _IDEMPOTENCY,
        'return Once(context, f"{caller.name}/{idempotency_key}", fingerprint)',
        "return Once(context, idempotency_key, fingerprint)",
        (f"{_KEY_TESTS}::test_a_key_belongs_to_one_caller",),
    ),
    Mutant(
        "id-of-the-key",
        "A creation whose answer was lost in a crash is done again.",
        _ONCE,
        _IDEMPOTENCY,
        'hashlib.sha256(f"id:{key}".encode()).hexdigest()[:32] if key else ""',
        '""',
        (f"{_KEY_TESTS}::test_a_creation_whose_answer_was_lost_in_a_crash_is_not_done_twice",),
    ),
)

MUTANTS = (*_OF_MACHINE, *_OF_OTHERS)
