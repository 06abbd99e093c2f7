"""Starts processes for an agent, keeps each together with its whole tree, and ends them with it.

Runs as a process of its own, with an interpreter that has no site-packages: the standard library
and as little of it as possible, because every process here is a fork of this one.

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

A keeper that is stopped (SIGSTOP) could not keep its fence: the supervisor wakes it at once.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import time

from dray.runtime.keeper_process import Keeper, encode, receive, send
from dray.runtime.process_tree import (
    KILL_EVERY_S,
    PR_SET_CHILD_SUBREAPER,
    STUCK_AFTER_S,
    descendants,
    prctl,
    send_signal,
    set_niceness,
    wake_on_child_exit,
)


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
        """Bury what has ended: keepers, and orphans of keepers that died; wake stopped keepers."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG | os.WUNTRACED)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if os.WIFSTOPPED(status):
                if pid in self.keepers:
                    os.kill(pid, signal.SIGCONT)
                continue
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
