"""A program in a process of its own, whose output is printed, and so recorded, as ours."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

from dray.sdk.light import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

_BLOCK = 1 << 16


def run(command: list[str]) -> int:
    """Run ``command`` to its end; its exit code, or 128 + the signal that ended it.

    Ctrl-C is the program's to act on: it gets it too, as one of the terminal's foreground.
    """
    try:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    except OSError as exc:
        print(f"dray: {command[0]} cannot be run: {exc.strerror or exc}", file=sys.stderr)
        return 127 if isinstance(exc, FileNotFoundError) else 126
    threads = [
        threading.Thread(target=_pass_on, args=(process.stdout, sys.stdout), daemon=True),
        threading.Thread(target=_pass_on, args=(process.stderr, sys.stderr), daemon=True),
    ]
    for thread in threads:
        thread.start()
    while True:
        try:
            code = process.wait()
            for thread in threads:
                thread.join()
        except KeyboardInterrupt:
            continue
        return code if code >= 0 else 128 - code


def _pass_on(pipe: Any, stream: Any) -> None:
    out = getattr(stream, "buffer", None)
    while block := os.read(pipe.fileno(), _BLOCK):
        if out is not None:
            out.write(block)
            out.flush()
        else:
            stream.write(block.decode("utf-8", "replace"))
            stream.flush()
