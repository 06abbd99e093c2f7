"""Simulated time, processes that can be killed and stopped, and a network that loses things."""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from dray.runtime.errors import DrayError

Then = Callable[[Any], None]
P = TypeVar("P", bound="Process")


class Crash(Exception):
    """The process that is being run dies here, in the middle of what it does."""


class Timeline:
    """Events in the order of their time; the seed decides between equals and all else.

    Attributes:
        now: seconds since the start, true time, which no process can read.
        counts: what happened, by name, so that tests can see that faults were real.
        trace: lines for people; None when nobody reads them.
    """

    def __init__(self, seed: int, *, traced: bool = False) -> None:
        self.now = 0.0
        self.random = random.Random(seed)
        self.counts: Counter[str] = Counter()
        self.trace: list[str] | None = [] if traced else None
        self.n_events = 0
        self._events: list[tuple[float, int, Process | None, int, Callable[..., Any], Any]] = []
        self._n_scheduled = 0

    def say(self, text: str, *values: Any) -> None:
        """Add a line to the trace."""
        if self.trace is not None:
            self.trace.append(f"{self.now:9.3f}  {text % values if values else text}")

    def count(self, what: str) -> None:
        """Note that something happened."""
        self.counts[what] += 1

    def chance(self, probability: float) -> bool:
        """Whether something happens this time."""
        return probability > 0 and self.random.random() < probability

    def at(
        self, delay_s: float, owner: Process | None, act: Callable[..., Any], *args: Any
    ) -> None:
        """Have ``act`` run later, unless its owner has died by then."""
        life = owner.life if owner is not None else 0
        self._n_scheduled += 1
        event = (self.now + delay_s, self._n_scheduled, owner, life, act, args)
        heapq.heappush(self._events, event)

    def run_until(self, end: float, done: Callable[[], bool] = lambda: False) -> None:
        """Let everything happen up to ``end``, or until ``done``."""
        while self._events and self._events[0][0] <= end and not done():
            self.now, _, owner, life, act, args = heapq.heappop(self._events)
            if owner is None:
                act(*args)
            elif owner.is_alive and owner.life == life:
                if owner.is_stopped:
                    owner.backlog.append((act, args))
                    continue
                owner.do(act, args)
            else:
                continue
            self.n_events += 1


class Process:
    """Something that can die, come back as another life of itself, and be stopped for a while."""

    def __init__(self, time: Timeline, name: str) -> None:
        self.time = time
        self.name = name
        self.is_alive = True
        self.is_stopped = False
        self.life = 1
        #: What happened to it while it was stopped, which it will notice when it goes on.
        self.backlog: list[tuple[Callable[..., Any], Any]] = []

    def after(self, delay_s: float, act: Callable[..., Any], *args: Any) -> None:
        """Do something later in this life."""
        self.time.at(delay_s, self, act, *args)

    def do(self, act: Callable[..., Any], args: Any) -> None:
        """Do something now; it may die of it."""
        try:
            act(*args)
        except Crash:
            self.kill()

    def kill(self) -> None:
        """SIGKILL: nothing of this life happens any more."""
        if self.is_alive:
            self.is_alive, self.is_stopped = False, False
            self.life += 1
            self.backlog.clear()
            self.time.say("%s dies", self.name)
            self.on_death()

    def on_death(self) -> None:
        """What its surroundings notice."""

    def stop(self, for_s: float) -> None:
        """SIGSTOP, and SIGCONT after a while."""
        if self.is_alive and not self.is_stopped:
            self.is_stopped = True
            life = self.life
            self.time.say("%s is stopped for %.1f s", self.name, for_s)
            self.time.at(for_s, None, lambda: self.go_on() if self.life == life else None)

    def go_on(self) -> None:
        """SIGCONT: what piled up happens now, in order."""
        if not self.is_stopped:
            return
        self.is_stopped = False
        self.time.say("%s goes on", self.name)
        self.on_going_on()
        backlog, self.backlog = self.backlog, []
        for position, (act, args) in enumerate(backlog):
            if not self.is_alive:
                return
            if self.is_stopped:
                self.backlog = backlog[position:] + self.backlog
                return
            self.do(act, args)

    def on_going_on(self) -> None:
        """What it finds changed."""


@dataclass(frozen=True)
class Weather:
    """How bad the network is.

    Attributes:
        drop: share of messages that get lost.
        twice: share that arrives twice.
        slow: share that takes up to ``slow_s`` instead of milliseconds.
    """

    drop: float = 0.0
    twice: float = 0.0
    slow: float = 0.0
    slow_s: float = 0.0


@dataclass
class Cable:
    """Whether messages between two sides pass; cut messages are lost, not delayed."""

    is_cut: bool = False


@dataclass
class Call(Generic[P]):
    """A request that is repeated, under the same arguments, until it is answered.

    Attributes:
        then: what the caller does with the answer.
        refused: what it does when the callee raised one of our errors.
        timeout_s: after which it asks again; None: it asks once.
        by_ray: an actor call: it arrives once in each life of the callee, late perhaps, until
            it is answered. Else a request of HTTP, which anything may happen to.
    """

    caller: Process
    callee: P
    method: Callable[..., Any]
    args: tuple[Any, ...]
    then: Then
    refused: Then
    timeout_s: float | None
    cable: Cable
    by_ray: bool
    life: int = 0
    is_over: bool = False
    n_sent: int = 0
    #: The callee's life that got it last; None while it is on its way.
    seen_by: int | None = None


class Later:
    """An answer that a method will give after it has returned."""

    def __init__(self) -> None:
        self.tell: Then = lambda _: None


class Network:
    """Loses, repeats, delays and so reorders what processes tell each other."""

    def __init__(self, time: Timeline) -> None:
        self.time = time
        self.weather = Weather()
        self.uncut = Cable()
        #: {callee: when the last thing it was told arrives}.
        self._arrivals: dict[Process, float] = {}

    def send(
        self, callee: Process, method: Callable[..., Any], *args: Any, cable: Cable | None = None
    ) -> None:
        """Tell somebody something, once, and not know whether it arrived."""
        weather, time = self.weather, self.time
        cable = cable or self.uncut
        if cable.is_cut or time.chance(weather.drop):
            time.count("message lost")
            return
        self._deliver_later(callee, method, args, cable)
        if time.chance(weather.twice):
            time.count("message twice")
            self._deliver_later(callee, method, args, cable)

    def tell(self, callee: Process, method: Callable[..., Any], *args: Any) -> None:
        """Tell an actor on the head node something, as Ray does: late, but in order.

        It is lost only when the actor dies, which reads the store when it comes back.
        """
        at = max(self._arrivals.get(callee, 0.0), self.time.now + self._delay_s())
        self._arrivals[callee] = at
        self.time.at(at - self.time.now, None, self._deliver, callee, method, args, self.uncut)

    def call(
        self,
        caller: Process,
        callee: P,
        method: Callable[..., Any],
        *args: Any,
        then: Then = lambda _: None,
        refused: Then = lambda _: None,
        timeout_s: float | None = 2.0,
        cable: Cable | None = None,
        by_ray: bool = False,
    ) -> None:
        """Ask somebody something again and again until the answer is there."""
        call = Call(
            caller, callee, method, args, then, refused, timeout_s, cable or self.uncut,
            by_ray, caller.life, seen_by=0,
        )  # fmt: skip
        self._ask(call)

    def _ask(self, call: Call[P]) -> None:
        if call.is_over:
            return
        if call.timeout_s is not None:
            call.caller.after(call.timeout_s, self._ask, call)
        if call.by_ray and (call.seen_by is None or call.seen_by == call.callee.life):
            return
        if call.n_sent:
            self.time.count("call repeated")
        call.n_sent += 1
        if call.by_ray:
            call.seen_by = None
            self.time.at(self._delay_s(), None, self._reach, call)
        else:
            self.send(call.callee, self._answer, call, cable=call.cable)

    def _reach(self, call: Call[P]) -> None:
        """An actor call arrives, in the life of the callee that there is.

        What a process had on its way is lost with it, as is what was on its way to one.
        """
        if call.caller.life != call.life:
            return
        call.seen_by = call.callee.life if call.callee.is_alive else 0
        self._deliver(call.callee, self._answer, (call,), call.cable)

    def _answer(self, call: Call[P]) -> None:
        try:
            result, settle = call.method(*call.args), call.then
        except DrayError as exc:
            result, settle = exc, call.refused
        if isinstance(result, Later):
            result.tell = lambda value: self._reply(call, settle, value)
        else:
            self._reply(call, settle, result)

    def _reply(self, call: Call[P], settle: Then, result: Any) -> None:
        args = (call, call.life, settle, result)
        if call.by_ray:
            self._deliver_later(call.caller, self._settle, args, call.cable)
        else:
            self.send(call.caller, self._settle, *args, cable=call.cable)

    def _settle(self, call: Call[P], life: int, settle: Then, result: Any) -> None:
        if not call.is_over and call.caller.life == life:
            call.is_over = True
            settle(result)

    def _deliver_later(
        self, callee: Process, method: Callable[..., Any], args: Any, cable: Cable
    ) -> None:
        self.time.at(self._delay_s(), None, self._deliver, callee, method, args, cable)

    def _delay_s(self) -> float:
        if self.time.chance(self.weather.slow):
            self.time.count("message slow")
            return self.time.random.uniform(0.02, self.weather.slow_s)
        return self.time.random.uniform(0.001, 0.02)

    def _deliver(
        self, callee: Process, method: Callable[..., Any], args: Any, cable: Cable
    ) -> None:
        if cable.is_cut or not callee.is_alive:
            self.time.count("message lost")
        elif callee.is_stopped:
            callee.backlog.append((method, args))
        else:
            callee.do(method, args)
