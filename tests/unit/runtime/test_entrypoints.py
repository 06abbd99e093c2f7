"""An entry point is run by what it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from dray.runtime.entrypoints import Kind, kind_by_head, kind_of


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("train.py", Kind.PYTHON),
        ("app.pyz", Kind.PYTHON),
        ("Nb.ipynb", Kind.NOTEBOOK),
        ("run.sh", Kind.SHELL),
        ("run.bash", Kind.SHELL),
        ("train", Kind.PYTHON),
    ],
)
def test_a_name_tells(tmp_path: Path, name: str, kind: Kind) -> None:
    (tmp_path / name).write_text("x = 1\n")
    assert kind_of(tmp_path / name) is kind


@pytest.mark.parametrize(
    ("head", "executable", "kind"),
    [
        (b"\x7fELF\x02\x01", True, Kind.PROGRAM),
        (b"#!/usr/bin/env perl\n", True, Kind.PROGRAM),
        (b"#!/usr/bin/env python3\n", True, Kind.PYTHON),
        (b"#!/opt/bin/python3.11 -u\n", False, Kind.PYTHON),
        (b"#!/bin/bash\n", True, Kind.PROGRAM),
        (b"#!/bin/bash\n", False, Kind.SHELL),
        (b"#!/usr/bin/env perl\n", False, Kind.PYTHON),
        (b"print(1)\n", True, Kind.PYTHON),
        (b"", False, Kind.PYTHON),
    ],
)
def test_without_a_telling_name_its_beginning_does(
    head: bytes, executable: bool, kind: Kind
) -> None:
    assert kind_by_head(head, executable=executable) is kind
