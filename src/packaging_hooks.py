"""Build commands that add ``dray-auto-init.pth`` to what is installed, in a wheel and in place.

Setuptools has no word for a file beside the packages. The file is one line that costs a Python
start some microseconds and does nothing unless ``DRAY_AUTO_INIT`` is set.
"""

from __future__ import annotations

import base64
import hashlib
import os
import zipfile
from pathlib import Path

from setuptools.command.build_py import build_py
from setuptools.command.editable_wheel import editable_wheel

NAME = "dray-auto-init.pth"
LINE = 'import os; os.environ.get("DRAY_AUTO_INIT") and __import__("dray.sdk.auto_init")\n'


class BuildPy(build_py):
    """``build_py`` with the file at the top of what it builds."""

    def run(self) -> None:
        """Build, then write the file."""
        super().run()
        if not self.editable_mode:
            Path(self.build_lib, NAME).write_text(LINE, "utf-8")


class EditableWheel(editable_wheel):
    """``editable_wheel`` with the file in its wheel."""

    def run(self) -> None:
        """Build, then add the file to the wheel and to its record."""
        super().run()
        for wheel in Path(self.dist_dir).glob("*.whl"):
            _add(wheel)


def _add(wheel: Path) -> None:
    aside = wheel.with_suffix(".part")
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(aside, "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.infolist():
            data = old.read(entry)
            if entry.filename.endswith(".dist-info/RECORD"):
                data = _recorded(data)
            new.writestr(entry, data)
        new.writestr(NAME, LINE)
    os.replace(aside, wheel)


def _recorded(record: bytes) -> bytes:
    digest = base64.urlsafe_b64encode(hashlib.sha256(LINE.encode()).digest()).rstrip(b"=")
    line = f"{NAME},sha256={digest.decode()},{len(LINE.encode())}\n"
    return line.encode() + record
