"""The way in of output: each byte once, in order, from the open attempt; an honest receipt."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_CONSOLE = "invariant 5"
_INGEST = "runtime/store/ingest.py"
_INCOMING = "runtime/store/incoming.py"
_TESTS = "tests/contract/test_store_ingest.py"

_KEEP = """\
        if incoming.runs:
            await self._keep_console(incoming)
"""
_COUNT = """\
        moved, of_models = incoming.moved(), incoming.parsed.of_models
        models = set[str]()

        async def unit(connection: Session) -> None:
            for run, position in incoming.placed():
                await console.index(connection, task_id, epoch, run, position, now)
            await results.write_batch(connection, task_id, epoch, incoming.parsed.batch)
            for model_id in models:
                await results.write_batch(connection, model_id, 0, of_models[model_id])
            for stream, after in moved.items():
                if after is not incoming.accepted.get(stream):
                    how_far = (after.n_bytes, after.tail, after.n_malformed, after.n_missing)
                    await connection.execute(_MOVE, (task_id, epoch, stream, *how_far))

        async with AsyncExitStack() as held:
            for model_id in sorted(of_models):  # a purge of its reports waits until we are done
                await held.enter_async_context(self._locks.of(model_id))
            models = await self._models_there(of_models)
            await self._results.write(unit)
"""
_RENEW = """\
            renewed = await self._renew(incoming, environment, executing=frame.executing)
"""
_WRITE = """\
            await self._write(incoming)
"""

MUTANTS = (
    Mutant(
        "gap-refused",
        "Output that does not go on where the last ended is taken: bytes are lost in silence.",
        _CONSOLE,
        _INCOMING,
        "if chunk.begin > expected:",
        "if chunk.begin > expected and expected < 0:",
        (f"{_TESTS}::test_a_gap_is_refused_as_a_whole_with_the_offsets_to_go_on_from",),
    ),
    Mutant(
        "repeated-chunk-skipped",
        "Of a frame that comes again what follows its first chunk is taken twice.",
        _CONSOLE,
        _INCOMING,
        "        if chunk.end <= expected:\n            continue\n",
        "",
        (f"{_TESTS}::test_bytes_that_come_again_in_pieces_are_skipped",),
    ),
    Mutant(
        "overlap-cut-off",
        "Bytes that were taken before are taken again with the new ones after them.",
        _CONSOLE,
        _INCOMING,
        "runs[-1][2].extend(chunk.data[max(0, expected - chunk.offset) :])",
        "runs[-1][2].extend(chunk.data)",
        (f"{_TESTS}::test_bytes_that_come_again_are_skipped",),
    ),
    Mutant(
        "over-before-gap",
        "An attempt that is over hears of a gap instead of its end, and sends for ever.",
        "invariant 2",
        _INGEST,
        "                check_epoch(await self._state.read("
        "lambda s: rows.read_head(s, task_id)), epoch)\n",
        "",
        (f"{_TESTS}::test_an_attempt_that_is_over_hears_so_whatever_its_frame_lacks",),
    ),
    Mutant(
        "lease-before-output",
        "Output is written before it is known that its attempt is open.",
        "invariant 2",
        _INGEST,
        _RENEW + _WRITE,
        _WRITE + _RENEW,
        (f"{_TESTS}::test_an_old_attempt_can_write_nothing",),
    ),
    Mutant(
        "one-frame-at-a-time",
        "Two frames of a task are taken in at once, both after the same bytes.",
        _CONSOLE,
        _INGEST,
        "        async with lock:\n            accepted =",
        "        if lock:\n            accepted =",
        (f"{_TESTS}::test_two_frames_at_once_are_taken_in_one_after_the_other",),
    ),
    Mutant(
        "end-answered-again",
        "The end of an attempt whose answer was lost is refused when it comes again.",
        "a lost answer is given again",
        _INGEST,
        "if end is not None and (reply := await self._again(task_id, epoch, end, accepted)):",
        "if end is None and (reply := await self._again(task_id, epoch, end, accepted)):",
        (f"{_TESTS}::test_a_finish_whose_reply_was_lost_is_answered_again",),
    ),
    Mutant(
        "another-end-refused",
        "An attempt that ended is told that whatever end it states now is what counts.",
        "invariant 4",
        _INGEST,
        "if row is None or stored is None or not is_told_by(stored, end.cause):",
        "if row is None or stored is None:",
        (f"{_TESTS}::test_another_finish_of_a_closed_attempt_is_refused",),
    ),
    Mutant(
        "receipt-digest",
        "Console bytes that are not those that were written are called exact.",
        _CONSOLE,
        _INGEST,
        "exact = digest == said.kept_sha256",
        "exact = bool(digest)",
        (f"{_TESTS}::test_a_receipt_that_does_not_fit_is_kept_and_audited",),
    ),
    Mutant(
        "receipt-length",
        "A stream whose end is missing is called exact.",
        _CONSOLE,
        _INGEST,
        "exact = (has.n_bytes, has.n_missing) == (said.n_bytes, said.missing_bytes)",
        "exact = True",
        (
            f"{_TESTS}::test_records_that_are_fewer_than_were_written_are_not_called_exact",
            "tests/contract/test_store_gaps.py"
            "::test_a_receipt_states_the_gaps_and_is_exact_outside_them",
        ),
    ),
    Mutant(
        "inexact-is-audited",
        "A receipt that does not fit is told nowhere in the story of the task.",
        _CONSOLE,
        _INCOMING,
        "    if inexact:\n",
        "    if not inexact and receipt is None:\n",
        (f"{_TESTS}::test_a_receipt_that_does_not_fit_is_kept_and_audited",),
    ),
    Mutant(
        "full-disk-makes-a-gap",
        "On a full disk console output is refused instead of stated as missing.",
        _CONSOLE,
        _INGEST,
        "                if exc.errno not in _NO_ROOM:\n                    raise\n",
        "                raise\n",
        (
            "tests/contract/test_store_gaps.py"
            "::test_a_disk_that_is_full_all_the_same_makes_a_gap_too",
        ),
    ),
    Mutant(
        "bytes-before-their-offset",
        "How far a stream has come is kept before its bytes are.",
        _CONSOLE,
        _INGEST,
        _KEEP + _COUNT,
        _COUNT + _KEEP,
        ("tests/contract/test_store_durable.py::test_no_offset_is_kept_whose_bytes_are_not",),
    ),
)
