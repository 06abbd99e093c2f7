"""Leases and the fence: no two processes of a task at a time, and nobody blamed for an outage."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_ONE_PROCESS = "no two processes of a task live at a time"
_PATIENCE = "invariant 3"
_WHOLE_TREE = "an end is the end of the whole tree"

_LEASE = "runtime/lease.py"
_LEASE_TESTS = "tests/unit/runtime/test_lease.py"

_OF_LEASE = (
    Mutant(
        "fence-before-the-lease-ends",
        "The holder's fence falls after the server has given its lease up.",
        _ONE_PROCESS,
        _LEASE,
        "FENCE_SHARE = 0.8",
        "FENCE_SHARE = 1.2",
        (f"{_LEASE_TESTS}::test_the_fence_comes_before_the_server_acts",),
    ),
    Mutant(
        "renewed-often-enough",
        "One lost renewal lets the fence of a healthy task fall.",
        _PATIENCE,
        _LEASE,
        "RENEWALS_PER_LEASE = 3",
        "RENEWALS_PER_LEASE = 2",
        (f"{_LEASE_TESTS}::test_a_lost_renewal_costs_nothing",),
    ),
    Mutant(
        "start-only-when-confirmed",
        "A process is started on an order whose lease nobody confirmed.",
        _ONE_PROCESS,
        _LEASE,
        "return last_confirmed is not None and not must_fence(last_confirmed, now, terms)",
        "return last_confirmed is None or not must_fence(last_confirmed, now, terms)",
        (f"{_LEASE_TESTS}::test_no_process_starts_under_a_lease_that_nobody_confirmed",),
    ),
    Mutant(
        "start-only-when-lately-confirmed",
        "A process is started under a lease that was confirmed long ago.",
        _ONE_PROCESS,
        _LEASE,
        "return last_confirmed is not None and not must_fence(last_confirmed, now, terms)",
        "return last_confirmed is not None",
        (f"{_LEASE_TESTS}::test_no_process_starts_under_a_lease_that_nobody_confirmed",),
    ),
    Mutant(
        "must-fence",
        "A holder that could not renew goes on for the whole lease and longer.",
        _ONE_PROCESS,
        _LEASE,
        "return now - last_renewed >= terms.fence_after_s",
        "return now - last_renewed >= 2 * terms.fence_after_s",
        (f"{_LEASE_TESTS}::test_a_holder_that_could_not_renew_must_end",),
    ),
    Mutant(
        "time-nobody-watched",
        "Attempts are blamed for the time in which the server was down.",
        _PATIENCE,
        _LEASE,
        "return not 0 <= now - looked_at <= ttl_s / 2",
        "return now < looked_at - ttl_s",
        (f"{_LEASE_TESTS}::test_time_in_which_nobody_looked_extends_all_leases",),
    ),
    Mutant(
        "clock-that-was-set",
        "Setting the server's clock ends leases.",
        _PATIENCE,
        _LEASE,
        "if adopt or was_away(",
        "if was_away(",
        (f"{_LEASE_TESTS}::test_a_clock_that_was_set_is_adopted_with_longer_leases",),
    ),
    Mutant(
        "only-leases-that-ran-out",
        "A lease is ended at the very instant to which it is valid.",
        _PATIENCE,
        _LEASE,
        "return now > expires_at",
        "return now >= expires_at",
        (f"{_LEASE_TESTS}::test_a_look_ends_only_leases_that_have_run_out",),
    ),
    Mutant(
        "silence-without-a-fence",
        "Silence ends attempts that set no fence: runs by hand, and tasks that wait.",
        _ONE_PROCESS,
        _LEASE,
        "    if held.kind == LOCAL or head.policy.on_lost is OnLost.WAIT:\n        return None\n",
        "",
        (f"{_LEASE_TESTS}::test_silence_alone_gives_up_no_attempt_without_a_fence",),
    ),
    Mutant(
        "cut-off-node-proves-nothing",
        "A task runs again at once though its node may only be cut off.",
        _ONE_PROCESS,
        _LEASE,
        "return word is RayWord.AGENT_DIED or on_lost is OnLost.WAIT",
        "return isinstance(word, RayWord) or on_lost is OnLost.WAIT",
        (
            f"{_LEASE_TESTS}"
            "::test_a_node_that_may_be_cut_off_proves_nothing_for_a_task_that_would_run_again",
        ),
    ),
    Mutant(
        "extended-in-the-end",
        "Leases that could not be extended after an outage are ended by the next look.",
        _PATIENCE,
        "actors/leases.py",
        "        self._must_extend = True  # also",
        "        self._must_extend = False  # also",
        (
            "tests/unit/actors/test_leases.py"
            "::test_leases_that_could_not_be_extended_are_extended_by_the_next_look",
        ),
    ),
    Mutant(
        "watch-adopts-the-clock",
        "A clock that was set is never taken over, so that no lease ends any more.",
        "no task says running for ever",
        "actors/leases.py",
        "        if adopt:\n            self._clock.adopt()\n",
        "",
        ("tests/unit/actors/test_leases.py::test_a_clock_that_is_set_counts_against_no_attempt",),
    ),
    Mutant(
        "watch-goes-by-evidence",
        "What is said of an attempt that is over ends the watch over all leases.",
        "no task says running for ever",
        "actors/leases.py",
        "        except (StaleEpoch, NotFound):\n            return None\n",
        "        except NotFound:\n            return None\n",
        (
            "tests/unit/actors/test_leases.py"
            "::test_words_on_a_node_for_an_attempt_that_is_over_change_nothing",
        ),
    ),
)

_KEEPER = "runtime/keeper_process.py"
_SUPERVISOR = "runtime/supervisor.py"
_TREES = "tests/unit/runtime/test_process_trees.py"
_DEATHS = "tests/unit/runtime/test_process_deaths.py"

_OF_KEEPER = (
    Mutant(
        "nothing-starts-behind-its-fence",
        "A keeper that was stopped starts a child whose fence has fallen meanwhile.",
        _ONE_PROCESS,
        _KEEPER,
        'if order["fence"] is not None and time.monotonic() >= order["fence"]:',
        'if order["fence"] is not None and time.monotonic() < 0:',
        (f"{_TREES}::test_nothing_starts_behind_a_fence_that_has_fallen",),
    ),
    Mutant(
        "born-with-its-fence",
        "A child has no fence until its agent says so, which may hang by then.",
        _ONE_PROCESS,
        _KEEPER,
        '            self.fence = order["fence"]\n',
        "",
        (f"{_TREES}::test_a_child_is_born_with_its_fence",),
    ),
    Mutant(
        "fence-falls",
        "The keeper never kills a child whose lease was not renewed.",
        _ONE_PROCESS,
        _KEEPER,
        "if self.fence is not None and now >= self.fence:",
        "if self.fence is not None and now < 0:",
        (
            f"{_TREES}::test_the_fence_kills_unless_it_is_moved",
            f"{_TREES}::test_a_child_is_born_with_its_fence",
        ),
    ),
    Mutant(
        "fence-wakes-the-keeper",
        "The keeper sleeps past the fence until something else wakes it.",
        _ONE_PROCESS,
        _KEEPER,
        "for due in (self.due, self.fence) if due is not None",
        "for due in (self.due,) if due is not None",
        (f"{_TREES}::test_a_child_is_born_with_its_fence",),
    ),
    Mutant(
        "stopped-keeper-is-woken",
        "A keeper that is stopped does not keep its fence.",
        _ONE_PROCESS,
        _SUPERVISOR,
        "os.kill(pid, signal.SIGCONT)",
        "os.kill(pid, 0)",
        (f"{_DEATHS}::test_the_fence_falls_though_agent_or_keeper_are_stopped",),
    ),
    Mutant(
        "agents-death-ends-its-children",
        "Children outlive their agent, whose death is the proof that they are dead.",
        _ONE_PROCESS,
        _KEEPER,
        "                self.kill_now()\n\n    def hear",
        "\n    def hear",
        (f"{_DEATHS}::test_killing_the_agent_ends_a_child_that_is_stopped",),
    ),
    Mutant(
        "agents-death-is-seen",
        "A fork of the agent that holds its sockets hides that it is dead.",
        _ONE_PROCESS,
        _SUPERVISOR,
        "return os.pidfd_open(pid) if os.getppid() == pid else -1",
        "return -1",
        (f"{_DEATHS}::test_killing_the_agent_ends_its_child_and_what_is_below[agent]",),
    ),
    Mutant(
        "parent-death-signal",
        "A child outlives its keeper and supervisor when both are killed.",
        _ONE_PROCESS,
        _KEEPER,
        "        prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)\n",
        "",
        (f"{_DEATHS}::test_killing_supervisor_and_keeper_at_once_ends_the_child",),
    ),
    Mutant(
        "keeper-adopts-orphans",
        "What a child has detached from itself outlives its end.",
        _WHOLE_TREE,
        _KEEPER,
        "        prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)\n",
        "",
        (f"{_TREES}::test_a_daemon_that_ignores_everything_dies_with_the_tree",),
    ),
    Mutant(
        "supervisor-adopts-orphans",
        "What a child has detached from itself outlives the death of its keeper.",
        _WHOLE_TREE,
        _SUPERVISOR,
        "    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)\n",
        "",
        (f"{_DEATHS}::test_killing_the_keeper_ends_its_child_and_what_is_below",),
    ),
    Mutant(
        "told-when-all-are-dead",
        "The end of an attempt is told before the orphans of its keeper are dead.",
        _ONE_PROCESS,
        _SUPERVISOR,
        "        if orphans and time.monotonic() - self.dead_since < STUCK_AFTER_S:\n"
        "            return\n",
        "",
        (f"{_DEATHS}::test_killing_the_keeper_ends_its_child_and_what_is_below",),
    ),
    Mutant(
        "killed-in-the-end",
        "What ignores TERM is not killed.",
        _WHOLE_TREE,
        _KEEPER,
        "[*polite, signal.SIGKILL] if signal.SIGKILL not in polite else [signal.SIGKILL]",
        "[*polite, signal.SIGTERM] if signal.SIGKILL not in polite else [signal.SIGKILL]",
        (f"{_TREES}::test_a_stubborn_child_is_killed_and_every_step_is_told",),
    ),
)

_CHILD = "actors/child.py"
_CHILD_TESTS = "tests/unit/actors/test_child.py"
_ATTEMPT = "actors/attempt.py"
_SHIPPING = "sdk/ship/shipping.py"
_SHIPPING_TESTS = "tests/unit/sdk/test_shipping.py"

_OF_AGENT = (
    Mutant(
        "fence-at-birth",
        "A process starts under a lease that ran out while it was prepared.",
        _ONE_PROCESS,
        _CHILD,
        "                fence_at=self._fence_at(),\n",
        "                fence_at=None,\n",
        (f"{_CHILD_TESTS}::test_no_process_starts_under_a_lease_that_has_run_out",),
    ),
    Mutant(
        "fence-is-moved",
        "The fence of a healthy task is not moved when its lease is renewed.",
        "a healthy task is left alone",
        _CHILD,
        "                tasks.start_soon(self._hold_fence, process)\n",
        "",
        (f"{_CHILD_TESTS}::test_renewals_keep_the_fence_from_falling",),
    ),
    Mutant(
        "fence-counts-from-the-renewal",
        "The fence is moved on though nothing was renewed.",
        _ONE_PROCESS,
        _CHILD,
        "return confirmed + self._terms.fence_after_s",
        "return self._shop.clock.monotonic() + self._terms.fence_after_s",
        (f"{_CHILD_TESTS}::test_a_silent_server_lets_the_fence_fall",),
    ),
    Mutant(
        "waiting-tasks-have-no-fence",
        "A task that is to wait for its server is ended by a fence.",
        "on_lost=wait",
        _CHILD,
        "if confirmed is None or self._task.policy.on_lost is OnLost.WAIT:",
        "if confirmed is None:",
        (f"{_CHILD_TESTS}::test_a_task_that_waits_for_its_server_has_no_fence",),
    ),
    Mutant(
        "no-process-outlives-its-run",
        "A process goes on when what watches over it fails.",
        _ONE_PROCESS,
        _CHILD,
        "                await process.stop(0, signal.SIGKILL)\n                status =",
        "                status =",
        (f"{_CHILD_TESTS}::test_no_process_outlives_a_watch_that_fails",),
    ),
    Mutant(
        "until-confirmed",
        "An agent starts a task without asking whether it is still its own.",
        _ONE_PROCESS,
        _ATTEMPT,
        "                    await self._until_confirmed()\n",
        "",
        ("tests/unit/actors/test_attempt.py::test_nothing_starts_before_the_server_has_confirmed",),
    ),
    Mutant(
        "refused-attempt-ends",
        "An attempt that the server no longer takes goes on.",
        _ONE_PROCESS,
        _ATTEMPT,
        '        self.stop(causes.aborted("the server", exc.message), at_once=True)\n',
        "        _ = exc\n",
        (
            "tests/unit/actors/test_attempt.py::test_an_attempt_that_is_refused_ends_without_a_process",
        ),
    ),
    Mutant(
        "frame-confirms-when-sent",
        "The fence counts from the answer to a frame, which came later than it was sent.",
        _ONE_PROCESS,
        _SHIPPING,
        "            self._confirm(reply, sent_at)\n        if self._parcels",
        "            self._confirm(reply, self._clock.monotonic())\n        if self._parcels",
        (f"{_SHIPPING_TESTS}::test_the_lease_counts_from_when_the_answered_request_was_sent",),
    ),
    Mutant(
        "renewal-confirms-when-sent",
        "The fence counts from the answer to a renewal, which may have waited for seconds.",
        _ONE_PROCESS,
        _SHIPPING,
        "                self._confirm(reply, sent_at)\n                n_failures = 0",
        "                self._confirm(reply, self._clock.monotonic())\n"
        "                n_failures = 0",
        (f"{_SHIPPING_TESTS}::test_the_lease_counts_from_when_an_answered_renewal_was_sent",),
    ),
    Mutant(
        "confirmed-never-goes-back",
        "An answer that was long on its way sets the fence back.",
        "a healthy task is left alone",
        _SHIPPING,
        "self.last_confirmed = max(self.last_confirmed or sent_at, sent_at)",
        "self.last_confirmed = sent_at",
        (f"{_SHIPPING_TESTS}::test_an_answer_that_was_long_on_its_way_sets_nothing_back",),
    ),
    Mutant(
        "stale-epoch-ends-shipping",
        "An attempt that is over is sent for ever.",
        "invariant 2",
        _SHIPPING,
        "    errors.StaleEpoch,\n",
        "",
        (f"{_SHIPPING_TESTS}::test_another_attempt_ends_it_and_tells_its_owner",),
    ),
    Mutant(
        "stop-is-pushed",
        "A request to stop that comes with an answer is not passed on.",
        "aborting ends the whole tree",
        _SHIPPING,
        "                self._on_stop(reply.stop)\n",
        "                pass\n",
        (f"{_SHIPPING_TESTS}::test_a_request_to_stop_is_pushed_to_an_idle_attempt_once",),
    ),
)

_GATEWAY_TESTS = "tests/unit/actors/test_gateway.py"
_ORDER_TESTS = "tests/unit/actors/test_orders.py"

_OF_CLAIMS = (
    Mutant(
        "claim-of-a-replaced-scheduler",
        "A scheduler that was replaced gives an agent work that its successor knows nothing of.",
        _ONE_PROCESS,
        "actors/gateway.py",
        "if generation != self._generation:",
        "if not generation:",
        (f"{_GATEWAY_TESTS}::test_a_claim_of_a_scheduler_that_was_replaced_gives_nothing",),
    ),
    Mutant(
        "old-claim-dates-no-lease",
        "A claim that is answered again makes its lease younger than it is.",
        _ONE_PROCESS,
        "actors/gateway.py",
        "claimed_at=claimed_at if _is_claimed_since(a.task, now) else None,",
        "claimed_at=claimed_at if _is_claimed_since(a.task, 0 * now) else None,",
        (f"{_GATEWAY_TESTS}::test_a_claim_that_is_answered_again_does_not_date_its_lease",),
    ),
    Mutant(
        "claim-of-another-clock",
        "A lease is dated by the clock of another machine.",
        _ONE_PROCESS,
        "actors/orders.py",
        "return self.claimed_at if clock and clock == self.clock else None",
        "return self.claimed_at",
        (f"{_ORDER_TESTS}::test_on_another_clock_the_server_has_to_be_asked",),
    ),
)

MUTANTS = (*_OF_LEASE, *_OF_KEEPER, *_OF_AGENT, *_OF_CLAIMS)
