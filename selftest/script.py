"""What each task of the chaos runs: does what its plan says, and keeps the side log that judges it.

Sent to the cluster as it is, so it imports the standard library only. It is called with the path
of the side log and its plan as JSON. The judge imports :func:`line` to know every byte it wrote.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: The console is written in so many goes, with an entry in the side log after each.
N_GOES = 4
#: What it writes to, by name.
STREAMS = ("stdout", "stderr")
FAILED_CODE = 3

#: Carriage returns, colours, bytes that are no UTF-8: a console has to survive all of them.
_SPICE = (b"\n", b"\r", b" \x1b[32mgreen\x1b[0m\n", b" \xff\xfe\n", b" \xe2\x82\n", b"\r\n")
_DESCENDANT = """
import signal, time
for number in (1, 2, 15):
    signal.signal(number, signal.SIG_IGN)
time.sleep(600)
"""


def line(seed: int, epoch: int, stream: str, number: int) -> bytes:
    """Line ``number`` of a stream of an attempt: different for each, always the same."""
    mark = hashlib.sha256(f"{seed}.{epoch}.{stream}.{number}".encode())
    return mark.hexdigest().encode() * (1 + mark.digest()[0] % 4) + _SPICE[mark.digest()[1] % 6]


def born(pid: int) -> str:
    """When a process started, in the kernel's ticks; empty once it is dead."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in b"ZX" else fields[19].decode()


class SideLog:
    """The ground truth: one line a fact, on disk before the task goes on."""

    def __init__(self, path: str, task_id: str, epoch: int) -> None:
        self._path, self._task_id, self._epoch = path, task_id, epoch
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def write(self, what: str, **facts: Any) -> None:
        """Append a fact and have it on disk."""
        identity = {"task": self._task_id, "epoch": self._epoch, "pid": os.getpid()}
        entry = {"what": what, **identity, "at": time.monotonic(), "time": time.time(), **facts}
        os.write(self._fd, json.dumps(entry).encode() + b"\n")
        os.fsync(self._fd)

    def earlier(self) -> list[dict[str, Any]]:
        """What other attempts of this task wrote."""
        mark = f'"task": "{self._task_id}"'
        with open(self._path, encoding="utf-8") as file:
            entries = [json.loads(text) for text in file if mark in text and text.endswith("\n")]
        return [entry for entry in entries if entry["epoch"] != self._epoch]


def main(path: str, plan: dict[str, Any]) -> int:
    """Run one attempt."""
    # A traceback that a signal makes is no part of the plan: it is ended quietly, or not at all.
    handler = signal.SIG_IGN if plan["ignores_term"] else signal.SIG_DFL
    signal.signal(signal.SIGINT, handler)
    signal.signal(signal.SIGTERM, handler)
    epoch = int(os.environ["DRAY_EPOCH"])
    log = SideLog(path, os.environ["DRAY_TASK_ID"], epoch)
    earlier = log.earlier()
    alive = [[e["epoch"], e["pid"]] for e in earlier if "born" in e and born(e["pid"]) == e["born"]]
    log.write("start", born=born(os.getpid()), alive=alive, agent=os.environ["DRAY_AGENT"])
    if plan["leaves_descendant"]:
        left = subprocess.Popen([sys.executable, "-c", _DESCENDANT], start_new_session=True)
        log.write("descendant", pid=left.pid, born=born(left.pid))
    work(log, plan, epoch)
    n_failed = sum(entry["what"] == "end" and entry["code"] != 0 for entry in earlier)
    code = FAILED_CODE if n_failed < plan["fails"] else 0
    log.write("end", code=code)
    return code


def work(log: SideLog, plan: dict[str, Any], epoch: int) -> None:
    """Take the time and write the output that the plan asks for."""
    logger = reporter() if plan["n_points"] else None
    n_bytes = {"stdout": 0, "stderr": 0}
    for go in range(N_GOES):
        time.sleep(plan["work_s"] / N_GOES)
        for fd, stream in enumerate(STREAMS, 1):
            lines = range(go * plan[stream] // N_GOES, (go + 1) * plan[stream] // N_GOES)
            n_bytes[stream] += put(fd, [line(plan["seed"], epoch, stream, n) for n in lines])
        log.write("wrote", **n_bytes)
        if logger is not None:
            n_points = plan["n_points"]
            for point in range(go * n_points // N_GOES, (go + 1) * n_points // N_GOES):
                logger.report_scalar("chaos", f"epoch {epoch}", value=point, iteration=point)


def reporter() -> Any:
    """The task's logger, for which Dray is imported as a user's script would."""
    from dray import Task

    return Task.init("selftest", "chaos").get_logger()


def put(fd: int, lines: list[bytes]) -> int:
    """Write lines past every buffer; how many bytes they were."""
    data = b"".join(lines)
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
    return len(data)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], json.loads(sys.argv[2])))
