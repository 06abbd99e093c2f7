"""Starts processes for an agent, keeps each together with its whole tree, and ends them with it.

Run by path, never imported: ``python -I -S supervisor.py CONTROL_FD AGENT_PID``. Standard library
only and as little of it as possible, because every process here is a fork of this one.

    agent ── control socket ──▶ supervisor ──fork──▶ keeper ──fork, exec──▶ child ──▶ …
      └───────────── one socket per keeper, JSON lines ─┘

The control socket brings one end of a socket pair per keeper that is wanted; all else is between
agent and keeper. A *keeper* has one child at a time. It is a subreaper: whatever a descendant
does (``setsid``, double fork), it stays below its keeper, so the tree is gone exactly when the
keeper has no child left, which ``wait`` says without looking. Only to send signals are the
processes looked up.

Who notices which death:
    agent       end of file on the sockets, or its pidfd: every keeper kills its tree at once
    supervisor  nobody needs to: keepers go on, the agent starts another supervisor
    keeper      the kernel kills its child (parent-death signal), the supervisor the orphans;
                only then does the agent see end of file
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import select
import signal
import socket
import sys
import time

TYPE_CHECKING = False  # typing itself would add to the memory that each fork copies
if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import Any

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
#: What descendants that outlive their child get between TERM and KILL.
LEFTOVER_GRACE_S = 2.0
#: KILL is repeated, because a tree may fork between the look at it and the signal.
KILL_EVERY_S = 0.02
#: A process that KILL does not end within this time hangs in the kernel (a dead disk, mostly).
STUCK_AFTER_S = 5.0

os.get_exec_path()  # imports what execvpe needs; here it costs once, in a child every time
prctl = ctypes.CDLL(None, use_errno=True).prctl


def main(control_fd: int, agent_pid: int) -> None:
    """Serve the agent until it is gone."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.chdir("/")
    set_niceness(0)
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    control = socket.socket(fileno=control_fd)
    control.set_inheritable(False)
    Supervisor(control, watch_agent(agent_pid)).run()


def watch_agent(pid: int) -> int:
    """A descriptor that is readable once the agent has ended; -1 where there is none.

    End of file on the sockets says the same, unless a fork of the agent holds copies of them.
    """
    try:
        return os.pidfd_open(pid) if os.getppid() == pid else -1
    except (AttributeError, OSError):  # Linux before 5.3, or a Python built there
        return -1


def wake_on_child_exit() -> int:
    """A descriptor that becomes readable whenever a child of this process has ended."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, on_child_exit)
    return reader


def on_child_exit(number: int, frame: object) -> None:
    """Nothing: without a handler there would be no wake-up."""


def set_niceness(value: int) -> bool:
    """Set the niceness of this process; False where the system does not let it go that low."""
    try:
        if os.getpriority(os.PRIO_PROCESS, 0) != value:
            os.setpriority(os.PRIO_PROCESS, 0, value)
    except PermissionError:
        return False
    return True


def descendants(root: int, skip: Collection[int] = ()) -> list[int]:
    """The live processes below ``root``, without those in ``skip`` and what is below them."""
    children: dict[int, list[int]] = {}
    zombies: set[int] = set()
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb", buffering=0) as stat:
                state, parent = stat.read().rpartition(b")")[2].split(None, 2)[:2]
        except OSError:
            continue  # it ended while we looked
        children.setdefault(int(parent), []).append(int(name))
        if state in b"ZX":
            zombies.add(int(name))
    found: list[int] = []
    parents = [root]
    while parents:
        below = [pid for pid in children.get(parents.pop(), ()) if pid not in skip]
        parents += below
        found += [pid for pid in below if pid not in zombies]
    return found


def send_signal(pids: list[int], number: int) -> None:
    """Signal each of ``pids``; stopped ones are woken, or they would not act on it."""
    for pid in pids:
        try:
            os.kill(pid, number)
            if number in (signal.SIGINT, signal.SIGTERM):
                os.kill(pid, signal.SIGCONT)
        except (ProcessLookupError, PermissionError):
            continue  # it ended meanwhile, or became another user's and will show up as stuck


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


class Supervisor:
    """Forks keepers, and cleans up after those that died."""

    def __init__(self, control: socket.socket, agent_end: int) -> None:
        self.control = control
        self.agent_end = agent_end
        #: {pid: its socket to the agent}; held open here too, so that the agent sees end of
        #: file only when the supervisor has dealt with what a dead keeper left behind.
        self.keepers: dict[int, socket.socket] = {}
        #: Sockets of keepers that died at work, until no orphan of theirs is left.
        self.dead: list[socket.socket] = []
        self.dead_since = 0.0

    def run(self) -> None:
        """Serve until the agent is gone, then until nothing is left to clean up."""
        wake = wake_on_child_exit()
        poller = select.poll()
        watched = [fd for fd in (self.control.fileno(), self.agent_end) if fd >= 0]
        for fd in (wake, *watched):
            poller.register(fd, select.POLLIN)
        send(self.control, b"ready")
        while watched or self.keepers or self.dead:
            ready = {fd for fd, _ in poller.poll(KILL_EVERY_S * 1000 if self.dead else None)}
            if wake in ready:
                os.read(wake, 4096)
                self.reap()
            if self.dead:
                self.sweep()
            if self.agent_end in ready or (self.control.fileno() in ready and not self.serve()):
                for fd in watched:
                    poller.unregister(fd)
                watched.clear()

    def serve(self) -> bool:
        """Fork one keeper; False when the agent closed the socket."""
        _, fds = receive(self.control)
        if not fds:
            return False
        agent = socket.socket(fileno=fds[0])
        try:
            pid = os.fork()
        except OSError as exc:
            send(agent, encode("failed", errno=exc.errno, message=exc.strerror, path=None))
            agent.close()
            return True
        if pid == 0:
            self.become_keeper(agent)
        self.keepers[pid] = agent
        return True

    def become_keeper(self, agent: socket.socket) -> None:
        """In the fork: hold nothing that is others', work, end."""
        status = 1
        try:
            for other in (self.control, *self.keepers.values(), *self.dead):
                other.close()
            Keeper(agent, self.agent_end).run()
            status = 0
        except Exception as exc:
            sys.excepthook(type(exc), exc, exc.__traceback__)
        finally:
            os._exit(status)

    def reap(self) -> None:
        """Bury what has ended: keepers, and orphans of keepers that died."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            agent = self.keepers.pop(pid, None)
            if agent is not None and status == 0:
                agent.close()
            elif agent is not None:
                self.dead.append(agent)
                self.dead_since = time.monotonic()

    def sweep(self) -> None:
        """Kill the orphans of dead keepers; once none is left, let the agent know."""
        orphans = descendants(os.getpid(), skip=self.keepers)
        send_signal(orphans, signal.SIGKILL)
        if orphans and time.monotonic() - self.dead_since < STUCK_AFTER_S:
            return
        for agent in self.dead:
            if orphans:
                send(agent, encode("stuck", stuck_pids=orphans))
            agent.close()
        self.dead.clear()


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

    def run(self) -> None:
        """Work until the agent is gone and nothing is left, or nothing can be done about it."""
        while True:
            if self.child and not self.reap():
                self.tell("tree_gone")
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
                self.fence = time.monotonic() + order["after_s"]
        return bool(data)

    def start(self, order: dict[str, Any]) -> None:
        """Fork and exec what the agent asks for; tell it the pid, or why there is none."""
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
            self.tell("started", pid=pid)
            self.flush()

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
        self.grace_s = min(self.grace_s, LEFTOVER_GRACE_S) if self.due else LEFTOVER_GRACE_S
        self.due = now if polite or not self.due else min(self.due, now + self.grace_s)

    def climb(self) -> None:
        """Send the tree the signal that is due; KILL again and again until nobody is left."""
        now = time.monotonic()
        if self.fence is not None and now >= self.fence:
            self.kill_now()
        if self.due is None or now < self.due:
            return
        number = self.rungs[0]
        pids = descendants(os.getpid())
        if pids and self.killing_since is None:
            self.tell("step", signal=int(number), pids=pids)
            self.flush()  # before the agent can see what comes of it
        send_signal(pids, number)
        if number != signal.SIGKILL:
            self.rungs = self.rungs[1:]
            self.due = now + self.grace_s
            return
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


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
