"""How two tasks differ: pure comparing of what they ran, and of what was built for them."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from dray.runtime.execution import Container, EnvironmentReport, Execution
from dray.runtime.models import Attempt, Parameter, Task
from dray.runtime.snapshots import FileEntry, encode_manifest
from dray.sdk.cli.code_diff import changes_by_file, compare_code
from dray.sdk.cli.task_diff import compare
from tests.unit.cli.conftest import Cli, Server

BLOBS: dict[str, bytes] = {}


def blob(data: bytes) -> str:
    sha256 = hashlib.sha256(data).hexdigest()
    BLOBS[sha256] = data
    return sha256


def snapshot(files: dict[str, bytes], links: dict[str, str] | None = None) -> Execution:
    entries = [FileEntry(path, blob(data), len(data)) for path, data in files.items()]
    entries += [
        FileEntry(path, blob(to.encode()), 0, link=to) for path, to in (links or {}).items()
    ]
    return Execution(snapshot=blob(encode_manifest(entries)))


def task(**members: object) -> Task:
    return replace(Task("a" * 32, "t", "p"), **members)


def built(**members: object) -> Task:
    report = replace(EnvironmentReport("k", False, 1.0), **members)
    return task(attempt=Attempt("a" * 32, 1, "agent", environment=report))


def found(left: Task, right: Task) -> dict[tuple[str, str], tuple[str | None, str | None]]:
    return {(d.section, d.name): (d.left, d.right) for d in compare(left, right)}


def test_packages_are_compared_by_name_as_asked_for_and_as_installed() -> None:
    left = built(installed=["numpy==1.26.4", "six==1.17.0", "Torch==2.4.0"])
    right = built(installed=["numpy==2.1.0", "torch==2.4.0", "x @ git+https://h/x@abc"])
    assert found(left, right) == {
        ("installed", "numpy"): ("==1.26.4", "==2.1.0"),
        ("installed", "six"): ("==1.17.0", None),
        ("installed", "x"): (None, "@ git+https://h/x@abc"),
    }


def test_what_was_built_is_compared_and_how_long_it_took_is_not() -> None:
    left = built(python="3.11.7", platform="linux-x86_64", manager="uv", seconds=1.0)
    right = built(python="3.12.1", platform="linux-x86_64", manager="pip", seconds=9.0, reused=True)
    assert found(left, right) == {
        ("environment", "python"): ("3.11.7", "3.12.1"),
        ("environment", "manager"): ("uv", "pip"),
    }


def test_what_surrounds_a_process_is_compared() -> None:
    left = task(execution=Execution(variables={"A": "1"}, container=Container("a:1", "--x")))
    right = task(
        execution=Execution(variables={"A": "2"}, setup_script="b", python_path=["src"]),
        parameters={"Args/lr": Parameter("1")},
    )
    names = {name for _, name in found(left, right)}
    assert names == {"variables.A", "container", "setup_script", "python_path", "Args/lr"}


def test_files_of_snapshots_are_added_removed_and_changed() -> None:
    left = snapshot({"a.py": b"1\n", "b.py": b"same\n", "c.bin": b"\0"}, {"l": "a.py"})
    right = snapshot({"a.py": b"2\n", "b.py": b"same\n", "d.py": b"new\n"}, {"l": "b.py"})
    shown = {
        d.name: (d.left, d.right, d.text) for d in compare_code(left, right, BLOBS.__getitem__)
    }
    assert set(shown) == {"a.py", "c.bin", "d.py", "l"}
    assert shown["d.py"][0] is None
    assert shown["c.bin"][1] is None
    assert shown["l"][:2] == ("link to a.py", "link to b.py")
    assert not any(text for _, _, text in shown.values())


def test_the_lines_that_differ_are_told_when_asked_for() -> None:
    left = snapshot({"a.py": b"x = 1\ny = 2\n", "data.bin": b"\0\1"})
    right = snapshot({"a.py": b"x = 1\ny = 3", "data.bin": b"\0\2"})
    text = {d.name: d.text for d in compare_code(left, right, BLOBS.__getitem__, with_text=True)}
    assert text["a.py"] == "--- a/a.py\n+++ b/a.py\n@@ -1,2 +1,2 @@\n x = 1\n-y = 2\n+y = 3\n"
    assert text["data.bin"] == "", "no text, so no lines"


def test_equal_snapshots_are_not_even_read() -> None:
    same = Execution(snapshot="f" * 64)
    assert compare_code(same, same, BLOBS.__getitem__) == []


CHANGE = """\
diff --git a/{0} b/{0}
--- a/{0}
+++ b/{0}
@@ -1 +1 @@
-old
+{1}
"""


def test_without_snapshots_uncommitted_changes_are_compared_file_by_file() -> None:
    left = Execution(diff=CHANGE.format("a.py", "new") + CHANGE.format("b.py", "new"))
    right = Execution(diff=CHANGE.format("a.py", "newer") + CHANGE.format("b.py", "new"))
    (only,) = compare_code(left, right, BLOBS.__getitem__, with_text=True)
    assert (only.name, "-+new\n" in only.text, "++newer\n" in only.text) == ("a.py", True, True)
    assert set(changes_by_file(left.diff)) == {"a.py", "b.py"}
    assert changes_by_file("") == {}


def test_a_task_with_and_one_without_a_snapshot_have_no_list_in_common() -> None:
    assert compare_code(snapshot({"a": b""}), Execution(diff="x"), BLOBS.__getitem__) == []


def test_the_command_lists_files_and_prints_lines(cli: Cli, server: Server) -> None:
    tasks = [
        server.draft(execution={"snapshot": snapshot({"a.py": text}).snapshot})
        for text in (b"x = 1\n", b"x = 2\n")
    ]
    for data in BLOBS.values():
        server.client.put_blob(data)
    ids = [each.id for each in tasks]
    rows = cli("task", "diff", *ids).rows
    assert [row[:2] for row in rows] == [["execution", "snapshot"], ["files", "a.py"]]
    assert "-x = 1\n+x = 2\n" in cli("task", "diff", *ids, "--code").out
    told = cli("task", "diff", *ids, "--code", "--json").json
    assert [each["text"].count("\n") for each in told if each["section"] == "files"] == [5]
