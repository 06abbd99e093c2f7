"""A keeper: the process between an agent's supervisor and one child, whose whole tree it ends.

Forked by ``runtime/supervisor.py``, where it is told who keeps which process.
"""

from __future__ import annotations

import errno
import json
import os
import select
import signal
import socket
import time

from dray.runtime.process_tree import (
    KILL_EVERY_S,
    PR_SET_CHILD_SUBREAPER,
    PR_SET_PDEATHSIG,
    STUCK_AFTER_S,
    descendants,
    join_groups,
    kill_group,
    prctl,
    remove_groups,
    send_signal,
    set_niceness,
    wake_on_child_exit,
)

TYPE_CHECKING = False  # typing itself would add to the memory that each fork copies
if TYPE_CHECKING:
    from typing import Any

#: Longest time between TERM and KILL: whoever meant to obey did so in the grace before it.
TERM_GRACE_S = 1.0

os.get_exec_path()  # imports what execvpe needs; here it costs once, in a child every time


class Keeper:
    """Has one child after the other: tells the agent what becomes of each, and ends its tree."""

    def __init__(self, agent: socket.socket, agent_end: int) -> None:
        self.agent = agent
        self.agent_end = agent_end
        self.is_abandoned = False
        self.inbox = b""
        self.outbox = b""
        self.fds: list[int] = []
        prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self.wake = wake_on_child_exit()
        self.poller = select.poll()
        for fd in (self.wake, agent.fileno(), agent_end):
            if fd >= 0:
                self.poller.register(fd, select.POLLIN)
        self.forget()

    def forget(self) -> None:
        """Be ready for the next child."""
        self.child = 0
        #: Signals still to be sent, the next one at ``due`` (None: no ladder); the last is KILL.
        self.rungs: list[int] = []
        self.due: float | None = None
        self.grace_s = 0.0
        #: When to kill the tree unless the agent moves it; None: the agent set no fence.
        self.fence: float | None = None
        self.killing_since: float | None = None
        self.is_stuck = False
        #: Kills all of the child's cgroup at once, also what forks meanwhile; empty: none does.
        self.kill_file = ""
        #: The ``cgroup.procs`` of each cgroup it was to join.
        self.groups: list[str] = []

    def run(self) -> None:
        """Work until the agent is gone and nothing is left, or nothing can be done about it."""
        while True:
            if self.child and not self.reap():
                self.tell("tree_gone")
                if self.is_abandoned:
                    remove_groups(self.groups)  # the agent would have done it
                self.forget()
            if self.child:
                self.climb()
            self.flush()
            if self.is_abandoned and (self.is_stuck or not self.child):
                return
            self.listen()

    def tell(self, event: str, **facts: Any) -> None:
        """Have the agent know, at the next ``flush``."""
        self.outbox += encode(event, **facts)

    def flush(self) -> None:
        """Send what there is to tell."""
        if self.outbox:
            send(self.agent, self.outbox)
            self.outbox = b""

    def listen(self) -> None:
        """Wait for the agent, for the end of a process, or for the next thing that is due."""
        dues = [due for due in (self.due, self.fence) if due is not None]
        wait_ms = max(0.0, min(dues) - time.monotonic()) * 1000 if dues else None
        for fd, _ in self.poller.poll(wait_ms):
            if fd == self.wake:
                os.read(self.wake, 4096)
            elif not self.is_abandoned and (fd == self.agent_end or not self.hear()):
                self.is_abandoned = True  # the agent is gone and its work must not outlive it
                self.poller.unregister(self.agent)
                if self.agent_end >= 0:
                    self.poller.unregister(self.agent_end)
                self.kill_now()

    def hear(self) -> bool:
        """Do what the agent says; False when it is gone."""
        data, fds = receive(self.agent)
        self.fds += fds
        *lines, self.inbox = (self.inbox + data).split(b"\n")
        for line in lines:
            order = json.loads(line)
            if order["op"] == "start":
                self.start(order)
            elif not self.child:
                continue  # meant for the child before, whose end is on its way to the agent
            elif order["op"] == "stop":
                self.stop(order["first_signal"], order["grace_s"])
            elif order["op"] == "signal":
                send_signal([self.child], order["number"])
            elif order["op"] == "fence":
                self.fence = order["at"]
        return bool(data)

    def start(self, order: dict[str, Any]) -> None:
        """Fork and exec what the agent asks for; tell it the pid, or why there is none."""
        if order["fence"] is not None and time.monotonic() >= order["fence"]:
            self.tell("failed", errno=errno.ETIME, message="its fence has fallen", path=None)
            for fd in self.fds:
                os.close(fd)
            self.fds.clear()
            return
        problem_fd, theirs = os.pipe()
        keeper = os.getpid()
        try:
            pid = os.fork()
            if pid == 0:
                become_child(order, keeper, self.fds, theirs)
        except OSError as exc:
            self.tell("failed", errno=exc.errno, message=exc.strerror, path=None)
            os.close(problem_fd)
            return
        finally:
            for fd in (*self.fds, theirs):
                os.close(fd)
            self.fds.clear()
        with open(problem_fd, "rb", buffering=0) as pipe:
            problem = pipe.read()  # the exec closes the other end
        if problem:
            os.waitpid(pid, 0)
            self.tell("failed", **json.loads(problem))
        else:
            self.child = pid
            self.kill_file, self.groups = order["kill_file"], order["cgroups"]
            self.fence = order["fence"]
            self.tell("started", pid=pid)
            self.flush()
            if not order["is_limited"]:
                join_groups(self.groups, pid)  # takes 10 ms that a start need not wait for

    def reap(self) -> bool:
        """Bury what has ended; False when nothing of the tree is left."""
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if pid != self.child:
                continue
            code = os.waitstatus_to_exitcode(status)
            self.tell(
                "exited",
                exit_code=code if code >= 0 else None,
                signal=-code if code < 0 else None,
                max_rss_bytes=usage.ru_maxrss * 1024,
                cpu_s=usage.ru_utime + usage.ru_stime,
            )
            self.end_leftovers()

    def end_leftovers(self) -> None:
        """The child has ended by itself: what it left running gets TERM, and soon KILL."""
        now = time.monotonic()
        polite = [n for n in self.rungs if n == signal.SIGTERM] if self.due else [signal.SIGTERM]
        self.rungs = [*polite, signal.SIGKILL]
        self.grace_s = min(self.grace_s, TERM_GRACE_S) if self.due else TERM_GRACE_S
        self.due = now if polite or not self.due else min(self.due, now + self.grace_s)

    def climb(self) -> None:
        """Send the tree the signal that is due; KILL again and again until nobody is left."""
        now = time.monotonic()
        if self.fence is not None and now >= self.fence:
            self.tell("fenced")
            self.kill_now()
        if self.due is None or now < self.due:
            return
        number = self.rungs[0]
        pids = descendants(os.getpid())
        if pids and self.killing_since is None:
            self.tell("step", signal=int(number), pids=pids)
            self.flush()  # before the agent can see what comes of it
        if number != signal.SIGKILL:
            send_signal(pids, number)
            self.rungs = self.rungs[1:]
            is_last_warning = number == signal.SIGTERM
            self.due = now + (min(self.grace_s, TERM_GRACE_S) if is_last_warning else self.grace_s)
            return
        kill_group(self.kill_file)
        send_signal(pids, number)
        self.killing_since = self.killing_since or now
        lasted = now - self.killing_since
        self.due = now + (KILL_EVERY_S if lasted < 1 else 0.5)
        if pids and lasted > STUCK_AFTER_S and not self.is_stuck:
            self.is_stuck = True
            self.tell("stuck", stuck_pids=pids)

    def kill_now(self) -> None:
        """Skip the polite signals."""
        self.fence = None
        self.rungs, self.due = [signal.SIGKILL], time.monotonic()

    def stop(self, first_signal: int, grace_s: float) -> None:
        """Begin the ladder; asked again, only shorten it."""
        now = time.monotonic()
        if self.due is None:
            polite = dict.fromkeys((first_signal, signal.SIGTERM))
            self.rungs = (
                [*polite, signal.SIGKILL] if signal.SIGKILL not in polite else [signal.SIGKILL]
            )
            self.grace_s, self.due = grace_s, now
        else:
            self.grace_s = min(self.grace_s, grace_s)
            self.due = min(self.due, now + self.grace_s)


def become_child(order: dict[str, Any], keeper: int, fds: list[int], problem_fd: int) -> None:
    """In the fork: turn into what the agent asks for, or say why not, and end."""
    problem: dict[str, Any] = {"errno": errno.EIO, "message": "its keeper failed", "path": None}
    try:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != keeper:
            return  # the keeper died before the line above
        os.setsid()
        if order["is_limited"]:
            join_groups(order["cgroups"], os.getpid())
        for target, fd in enumerate((os.open(os.devnull, os.O_RDONLY), *fds)):
            os.dup2(fd, target)
        set_niceness(order["niceness"])
        os.chdir(order["cwd"])
        argv: list[str] = order["argv"]
        execute = os.execve if "/" in argv[0] else os.execvpe
        execute(argv[0], argv, order["env"])
    except OSError as exc:
        path = os.fsdecode(exc.filename) if exc.filename else None  # bytes, when on the PATH
        problem = {"errno": exc.errno, "message": exc.strerror, "path": path}
    except ValueError as exc:  # a zero byte in an argument, a '=' in a name
        problem = {"errno": errno.EINVAL, "message": str(exc), "path": None}
    finally:
        os.write(problem_fd, json.dumps(problem).encode())
        os._exit(127)


def encode(event: str, **facts: Any) -> bytes:
    """One message to the agent."""
    return json.dumps({"event": event, **facts}).encode() + b"\n"


def send(agent: socket.socket, messages: bytes) -> None:
    """Send messages to the agent; nothing when it is gone.

    The flag, because SIGPIPE must be as children have to find it: not ignored.
    """
    try:
        agent.sendall(messages, socket.MSG_NOSIGNAL)
    except (BrokenPipeError, ConnectionResetError):
        return


def receive(agent: socket.socket) -> tuple[bytes, list[int]]:
    """Some bytes and the descriptors that came with them; no bytes when the agent is gone.

    ``socket.recv_fds`` takes flags but ignores them, and then every exec inherits what it got.
    """
    space = socket.CMSG_SPACE(8)
    try:
        data, ancillary, _, _ = agent.recvmsg(65536, space, socket.MSG_CMSG_CLOEXEC)
    except ConnectionResetError:
        return b"", []
    return data, [fd for _, _, packed in ancillary for fd in memoryview(packed).cast("i")]
