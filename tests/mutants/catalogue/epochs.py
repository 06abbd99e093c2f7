"""Epochs, claims and fencing: what keeps an attempt that is over from changing anything."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_ONE_WRITER = "invariant 2"
_RETOLD = "a lost answer is given again"

_MACHINE = "runtime/machine.py"
_MACHINE_TESTS = "tests/unit/runtime/test_machine.py"
_OTHER_EPOCH = f"{_MACHINE_TESTS}::test_a_command_for_another_attempt_is_refused"
_CLOSED = f"{_MACHINE_TESTS}::test_a_command_for_an_attempt_that_has_ended_is_refused"

_COMMANDS = (
    ("begin-executing", "_begin_executing", "BeginExecuting", "begins to execute"),
    ("renew", "_renew", "Renew", "renews its lease"),
    ("lose-contact", "_lose_contact", "LoseContact", "is called unreachable"),
    ("prove-dead", "_prove_dead", "ProveDead", "is proved dead"),
)

_OF_COMMANDS = tuple(
    Mutant(
        f"epoch-of-{name}",
        f"The epoch is not compared when an attempt {what}.",
        _ONE_WRITER,
        _MACHINE,
        f"def {function}(head: Head, command: {command}) -> Head:\n"
        "    check_epoch(head, command.epoch)\n",
        f"def {function}(head: Head, command: {command}) -> Head:\n",
        (f"{_OTHER_EPOCH}[{command}]", f"{_CLOSED}[{command}]"),
    )
    for name, function, command, what in _COMMANDS
)

_OF_MACHINE = (
    Mutant(
        "epoch-of-finish",
        "The epoch is not compared when an attempt says how it ended.",
        _ONE_WRITER,
        _MACHINE,
        "    check_epoch(head, command.epoch)\n    event = causes.end_event(cause)\n",
        "    event = causes.end_event(cause)\n",
        (f"{_OTHER_EPOCH}[Finish]", f"{_CLOSED}[Finish]"),
    ),
    Mutant(
        "epoch-of-hand-over",
        "The epoch is not compared when a run moves itself to a queue.",
        _ONE_WRITER,
        _MACHINE,
        "    check_epoch(head, command.epoch)\n    cause = Cause(CauseKind.HANDED_OVER",
        "    cause = Cause(CauseKind.HANDED_OVER",
        (f"{_OTHER_EPOCH}[HandOver]",),
    ),
    Mutant(
        "epoch-compared",
        "The one comparison of epochs lets every epoch pass while the task runs.",
        _ONE_WRITER,
        _MACHINE,
        "if head.state is not State.RUNNING or head.epoch != epoch:",
        "if head.state is not State.RUNNING:",
        (_OTHER_EPOCH, f"{_MACHINE_TESTS}::test_a_stale_epoch_names_the_current_one"),
    ),
    Mutant(
        "epoch-of-a-task-that-runs",
        "The latest attempt may still write after its task went back to a queue or ended.",
        _ONE_WRITER,
        _MACHINE,
        "if head.state is not State.RUNNING or head.epoch != epoch:",
        "if head.epoch != epoch:",
        (_CLOSED,),
    ),
    Mutant(
        "epoch-grows",
        "A new attempt gets the epoch of the one before, so that both may write.",
        _ONE_WRITER,
        _MACHINE,
        "epoch=head.epoch + 1,",
        "epoch=head.epoch or 1,",
        (f"{_MACHINE_TESTS}::test_a_failed_or_aborted_task_goes_on_by_hand_in_no_queue",),
    ),
    Mutant(
        "claim-answered-again",
        "A claim whose answer was lost is refused to who made it: the task runs for nobody.",
        _RETOLD,
        _MACHINE,
        "    if head.state is State.RUNNING and head.claim_id == command.claim_id:\n"
        "        return head\n",
        "",
        (f"{_MACHINE_TESTS}::test_a_claim_is_answered_again_to_who_made_it_only",),
    ),
    Mutant(
        "claim-of-another",
        "A claim of a task that runs is answered to anybody, so that two agents have it.",
        _ONE_WRITER,
        _MACHINE,
        "if head.state is State.RUNNING and head.claim_id == command.claim_id:",
        "if head.state is State.RUNNING:",
        (f"{_MACHINE_TESTS}::test_a_claim_is_answered_again_to_who_made_it_only",),
    ),
    Mutant(
        "finish-answered-again",
        "An end whose answer was lost is refused when it is told again.",
        _RETOLD,
        _MACHINE,
        "    if is_terminal(head.state) and head.epoch == command.epoch and head.cause == cause:\n"
        "        return head\n",
        "",
        (f"{_MACHINE_TESTS}::test_a_finish_is_answered_again_and_another_one_refused",),
    ),
    Mutant(
        "finish-with-another-cause",
        "An attempt that has ended may say that it ended otherwise, and is told that it counts.",
        "invariant 4",
        _MACHINE,
        "head.epoch == command.epoch and head.cause == cause:",
        "head.epoch == command.epoch:",
        (f"{_MACHINE_TESTS}::test_a_finish_is_answered_again_and_another_one_refused",),
    ),
    Mutant(
        "finish-of-an-older-attempt",
        "An older attempt is told that its end counts because the latest ended alike.",
        _ONE_WRITER,
        _MACHINE,
        "if is_terminal(head.state) and head.epoch == command.epoch and head.cause == cause:",
        "if is_terminal(head.state) and head.cause == cause:",
        (f"{_MACHINE_TESTS}::test_an_end_is_answered_again_to_its_own_attempt_only",),
    ),
    Mutant(
        "hand-over-of-an-older-attempt",
        "An older attempt is told that its hand-over counts because the task waits.",
        _ONE_WRITER,
        _MACHINE,
        "if head.state is State.PENDING and head.epoch == command.epoch:",
        "if head.state is State.PENDING:",
        (f"{_CLOSED}[HandOver]",),
    ),
)

_TRANSITIONS = "runtime/store/transitions.py"
_STALE_HEAD = (
    "tests/contract/test_store_transitions.py"
    "::test_a_step_from_a_head_that_is_no_longer_true_is_not_written"
)
_ATTEMPTS = "runtime/store/attempts.py"
_ATTEMPT_TESTS = "tests/contract/test_store_attempts.py"

_OF_STORE = (
    Mutant(
        "update-guarded-by-epoch",
        "The row of a task is written though its epoch is no longer the one that was read.",
        _ONE_WRITER,
        _TRANSITIONS,
        "WHERE id = ? AND state = ? AND epoch = ?\nRETURNING id",
        "WHERE id = ? AND state = ? AND ? >= 0\nRETURNING id",
        (f"{_STALE_HEAD}[epoch]",),
    ),
    Mutant(
        "update-guarded-by-state",
        "The row of a task is written though its state is no longer the one that was read.",
        _ONE_WRITER,
        _TRANSITIONS,
        "WHERE id = ? AND state = ? AND epoch = ?\nRETURNING id",
        "WHERE id = ? AND ? <> '' AND epoch = ?\nRETURNING id",
        (f"{_STALE_HEAD}[state]",),
    ),
    Mutant(
        "update-that-hit-no-row",
        "A step whose row was not written is told as done.",
        _ONE_WRITER,
        _TRANSITIONS,
        "if len(written) != 1:",
        "if len(written) > 1:",
        (_STALE_HEAD,),
    ),
    Mutant(
        "renewed-meanwhile",
        "An attempt that renewed its lease after it was looked at is called unreachable.",
        "invariant 3",
        _TRANSITIONS,
        "    _refuse_early(before, command, now)\n",
        "",
        (
            "tests/contract/test_store_transitions.py"
            "::test_a_holder_that_renewed_meanwhile_is_not_called_silent",
        ),
    ),
    Mutant(
        "enqueued-once-a-request",
        "A request to enqueue that is repeated after the end runs the task again.",
        _RETOLD,
        _TRANSITIONS,
        "if isinstance(command, machine.Enqueue) and await _was_enqueued(connection, before, by):",
        "if False:",
        (
            "tests/contract/test_store_transitions.py"
            "::test_a_request_to_enqueue_that_is_repeated_after_the_end_runs_nothing_again",
        ),
    ),
    Mutant(
        "end-of-its-own-attempt",
        "The end of an attempt is written into every attempt of the task.",
        "invariant 4",
        _TRANSITIONS,
        'WHERE task_id = ? AND epoch = ? AND ended_at IS NULL\n"""\n_EXECUTING',
        'WHERE task_id = ? AND epoch <= ?\n"""\n_EXECUTING',
        ("tests/contract/test_store_transitions.py::test_each_attempt_keeps_its_own_end",),
    ),
    Mutant(
        "out-of-the-queue-when-claimed",
        "A claimed task stays in its queue.",
        _ONE_WRITER,
        _TRANSITIONS,
        "        await connection.execute(_LEAVE_QUEUE, (task_id,))\n",
        "        pass\n",
        (
            "tests/contract/test_store_transitions.py"
            "::test_pending_tasks_and_queue_entries_are_the_same_tasks",
        ),
    ),
    Mutant(
        "claim-of-an-attempt-that-is-over",
        "A claim that comes again after its attempt opens another one for nobody.",
        _ONE_WRITER,
        _ATTEMPTS,
        "        if await database.row(connection, _CLAIM_IS_OVER, key) is not None:\n"
        "            return None\n",
        "        _ = key\n",
        (f"{_ATTEMPT_TESTS}::test_a_claim_that_comes_again_after_its_attempt_opens_no_other",),
    ),
    Mutant(
        "unreachable-since",
        "A restart of the server makes an unreachable attempt look as if it had just been heard.",
        "invariant 3",
        _ATTEMPTS,
        "\n    AND tasks.phase <> 'unreachable'",
        "",
        (
            f"{_ATTEMPT_TESTS}"
            "::test_an_unreachable_attempt_says_since_when_also_after_the_server_was_down",
        ),
    ),
    Mutant(
        "watched-by-epoch",
        "The watch over leases sees the attempts that are over beside the open one.",
        _ONE_WRITER,
        _ATTEMPTS,
        "JOIN attempts a ON a.task_id = t.id AND a.epoch = t.epoch\nWHERE t.state",
        "JOIN attempts a ON a.task_id = t.id\nWHERE t.state",
        (f"{_ATTEMPT_TESTS}::test_leases_go_by_the_length_of_the_open_attempt",),
    ),
    Mutant(
        "lease-length-by-epoch",
        "An attempt that does not exist is renewed by the length of another's lease.",
        _ONE_WRITER,
        _ATTEMPTS,
        '_TTL = "SELECT lease_ttl_s FROM attempts WHERE task_id = ? AND epoch = ?"',
        '_TTL = "SELECT lease_ttl_s FROM attempts WHERE task_id = ? AND ? >= 0"',
        (f"{_ATTEMPT_TESTS}::test_leases_go_by_the_length_of_the_open_attempt",),
    ),
    Mutant(
        "hand-over-answered-again",
        "A hand-over whose answer was lost is refused once an agent has the task.",
        _RETOLD,
        _ATTEMPTS,
        '            if end is not None and _was_handed_over(rows.load_cause(end["cause"])):\n'
        "                return Change(head, head)",
        "            if end is None and head.epoch < 0:\n                return Change(head, head)",
        (
            "tests/unit/api/test_late_writes.py"
            "::test_a_hand_over_is_answered_again_even_when_an_agent_has_the_task_by_then",
        ),
    ),
    Mutant(
        "epoch-after-a-deletion",
        "A task that is made again under its id counts its attempts from 1, as the old ones did.",
        _ONE_WRITER,
        "runtime/store/tasks.py",
        'epoch=before[0]["epoch"])',
        "epoch=0 * len(before))",
        (
            "tests/unit/api/test_late_writes.py"
            "::test_a_task_made_again_under_its_id_takes_nothing_of_its_old_attempts",
        ),
    ),
)

_FENCING = "runtime/store/fencing.py"
_TASKS = "runtime/store/tasks.py"
_AUTH = "api/auth.py"
_LATE = "tests/unit/api/test_late_writes.py"
_BETWEEN = f"{_LATE}::test_an_attempt_that_is_superseded_between_look_and_write_is_refused"
_LATE_WRITE = f"{_LATE}::test_a_late_write_is_refused_naming_both_epochs"
_FOREIGN = f"{_LATE}::test_a_foreign_task_is_forbidden"


def _unfenced(name: str, what: str, text: str, route: str, file: str = _TASKS) -> Mutant:
    """A transaction that does not compare the epoch of who writes."""
    assert text.count("fenced(by, unit)") == 1
    return Mutant(
        f"fence-of-{name}",
        f"The attempt of who {what} is not compared in the transaction that does it.",
        _ONE_WRITER,
        file,
        text,
        text.replace("fenced(by, unit)", "unit"),
        (f"{_BETWEEN}[{route}]",),
    )


_OF_FENCING = (
    _unfenced(
        "creating",
        "makes a task",
        "        await self._state.write(fenced(by, unit))\n"
        "        return await self.get(draft.id)",
        "POST /tasks",
    ),
    _unfenced(
        "editing",
        "edits a task",
        "        await self._state.write(fenced(by, unit))\n        return await self.get(task_id)",
        "PATCH /tasks/{id}",
    ),
    _unfenced(
        "enqueueing",
        "enqueues a task",
        "return await self._going_on.step(task_id, fenced(by, unit))",
        "POST /tasks/{id}/enqueue",
    ),
    _unfenced(
        "steps",
        "takes a step with a task",
        "change = await self._state.write(fenced(by, unit))",
        "POST /tasks/{id}/mark",
    ),
    _unfenced(
        "aborting",
        "aborts a task",
        "            return change\n\n        return await self._state.write(fenced(by, unit))",
        "POST /tasks/{id}/abort",
    ),
    _unfenced(
        "deleting",
        "deletes a task",
        "        await self._state.write(fenced(by, unit))\n        await self._purge()",
        "DELETE /tasks/{id}",
    ),
    _unfenced(
        "starting",
        "starts a task by hand",
        "task_id, fenced(by, unit), initial_iteration=initial_iteration",
        "POST /tasks/{id}/start",
        _ATTEMPTS,
    ),
    Mutant(
        "fence-compares",
        "The fence of all writes of an attempt lets them pass.",
        _ONE_WRITER,
        _FENCING,
        "    machine.check_epoch(head, attempt.epoch)\n",
        "    _ = head\n",
        (f"{_LATE_WRITE}[PATCH /tasks/{{id}}]",),
    ),
    Mutant(
        "look-at-the-fence",
        "Nobody looks whether an attempt is open where there is no transaction to compare in.",
        _ONE_WRITER,
        _FENCING,
        "        if attempt is not None:\n            await self._state.read(",
        "        if attempt is None:\n            await self._state.read(",
        (f"{_LATE_WRITE}[POST /blobs/missing]",),
    ),
    Mutant(
        "look-before-the-body",
        "A late upload is taken in whole before it is refused.",
        _ONE_WRITER,
        _AUTH,
        "    by = spoken_by(request, caller)\n    await context.store.fencing.check(by)\n",
        "    by = spoken_by(request, caller)\n",
        (f"{_LATE_WRITE}[POST /blobs/missing]",),
    ),
    Mutant(
        "upload-that-ends-late",
        "An upload that ends after its attempt is kept.",
        _ONE_WRITER,
        "api/routes/blobs.py",
        "        await context.store.fencing.check(by)",
        "        _ = by",
        (f"{_LATE}::test_an_upload_that_ends_after_its_attempt_is_not_kept",),
    ),
    Mutant(
        "late-writes-are-counted",
        "Late writes are refused and nobody is told.",
        "late writes are counted and audited",
        _FENCING,
        "        self._n_refused += 1\n",
        "",
        (f"{_LATE}::test_refused_writes_are_counted_and_told_once_for_each_power_of_ten",),
    ),
    Mutant(
        "own-task-only",
        "The token of one task may edit another.",
        "invariant 10",
        _AUTH,
        "    _check_own(caller, task_id)\n    return await creates(request, caller, context)",
        "    return await creates(request, caller, context)",
        (f"{_FOREIGN}[PATCH /tasks/{{id}}]",),
    ),
    Mutant(
        "own-attempt-only",
        "The token of one task may ship output of another.",
        "invariant 10",
        _AUTH,
        "    _check_own(caller, task_id)\n    by = spoken_by(request, caller)\n",
        "    by = spoken_by(request, caller)\n",
        (f"{_FOREIGN}[POST /tasks/{{id}}/attempts/{{epoch}}/frames]",),
    ),
    Mutant(
        "own-hand-over-only",
        "The token of one task may move another to a queue.",
        "invariant 10",
        _AUTH,
        "    _check_own(caller, task_id)\n    return spoken_by(request, caller)\n",
        "    return spoken_by(request, caller)\n",
        (f"{_FOREIGN}[POST /tasks/{{id}}/hand-over]",),
    ),
    Mutant(
        "epoch-of-the-token",
        "The token of one attempt may ship output of the next one.",
        _ONE_WRITER,
        _AUTH,
        "    await check_epoch(context, by, epoch)\n    return by",
        "    return by",
        (f"{_LATE}::test_a_token_of_one_attempt_does_not_speak_for_another",),
    ),
    Mutant(
        "epoch-of-the-token-handing-over",
        "The token of one attempt may hand over the next one.",
        _ONE_WRITER,
        "api/routes/attempts.py",
        "    await auth.check_epoch(context, by, body.epoch)\n",
        "",
        (f"{_LATE}::test_a_token_of_one_attempt_does_not_speak_for_another",),
    ),
    Mutant(
        "servers-token-administers",
        "The token of a task may administer queues and agents.",
        "invariant 10",
        _AUTH,
        "    if caller.attempt is not None:\n        task_id = caller.attempt.task_id",
        "    if caller.attempt is not None and not caller.name:\n"
        "        task_id = caller.attempt.task_id",
        (f"{_LATE}::test_no_tasks_token_administers[POST /queues]",),
    ),
    Mutant(
        "token-is-signed",
        "Anybody can make the token of an attempt.",
        "invariant 10",
        "runtime/tokens.py",
        "    if not hmac.compare_digest(match.group(3), _mac(secret, task_id, epoch)):\n"
        "        return None\n",
        "",
        ("tests/unit/runtime/test_tokens.py",),
    ),
)

MUTANTS = (*_OF_COMMANDS, *_OF_MACHINE, *_OF_STORE, *_OF_FENCING)
