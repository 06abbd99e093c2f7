"""Why two environments are two, in words a person can act on."""

from __future__ import annotations

from pathlib import Path

from dray.envbuilder.cache.why import compare, nearest, why_built
from dray.envbuilder.spec import EnvironmentSpec, LocalPackage, ProjectFile, covered
from dray.envbuilder.tools.interpreters import Interpreter
from dray.runtime.environments import EnvironmentWhy, PartDifference

A, B, C = "a" * 32, "b" * 32, "c" * 32


def interpreter(version: str = "3.11.7") -> Interpreter:
    return Interpreter(Path("/python"), version, "cpython", "cpython-311", "abi", "linux-x86_64")


def between(
    left: EnvironmentSpec, right: EnvironmentSpec, left_python: str = "3.11.7", mark: str = ""
) -> EnvironmentWhy:
    return compare(
        *(A, covered(left, interpreter(left_python))), *(B, covered(right, interpreter(), mark))
    )


def spec(*requirements: str) -> EnvironmentSpec:
    return EnvironmentSpec(requirements=requirements)


def test_requirement_lines_that_came_and_went() -> None:
    found = between(spec("numpy==1.0", "pandas"), spec("pandas", "numpy==2.0"))
    assert found.differences == [PartDifference("requirements", ["numpy==1.0"], ["numpy==2.0"])]
    assert (
        found.summary == f"{A[:12]} and {B[:12]} differ in requirements (numpy==1.0 → numpy==2.0)"
    )


def test_the_order_of_lines_is_a_difference_of_its_own() -> None:
    found = between(spec("a", "b"), spec("b", "a"))
    assert found.differences == [
        PartDifference("requirements", note="the same lines in another order")
    ]
    assert "requirements (the same lines in another order)" in found.summary


def test_python_comes_first_and_a_place_is_named() -> None:
    found = between(spec("a"), spec("a", "b"), "3.12.1", mark="image:sha256:1")
    assert [d.part for d in found.differences] == ["python", "place", "requirements"]
    assert (
        "python (3.12.1 → 3.11.7), place (+ image:sha256:1) and requirements (+ b)" in found.summary
    )


def test_a_lock_file_by_its_lines_and_a_local_package_by_its_code() -> None:
    left = EnvironmentSpec(
        files=(ProjectFile("uv.lock", "one\ntwo\nthree\n"),), local=(LocalPackage("lib", "1"),)
    )
    right = EnvironmentSpec(
        files=(ProjectFile("uv.lock", "one\n2\nthree\n"),), local=(LocalPackage("lib", "2"),)
    )
    found = between(left, right)
    assert PartDifference("files: uv.lock", ["two"], ["2"]) in found.differences
    assert "local: ./lib (its content differs)" in found.summary
    (only,) = between(left, EnvironmentSpec(local=left.local)).differences
    assert (only.part, only.note) == ("files: uv.lock", "only the first has it")


def test_many_lines_are_counted_in_the_sentence_and_all_listed() -> None:
    found = between(spec(), spec(*map(str, range(40))))
    assert "requirements (40 added)" in found.summary
    assert len(found.differences[0].added) == 40


def test_what_covers_the_same_differs_in_nothing() -> None:
    found = between(spec("a"), spec("a"))
    assert found.differences == []
    assert "cover the same" in found.summary


def test_an_environment_is_compared_with_the_nearest_that_was_there() -> None:
    wanted = covered(spec("a", "b", "c"), interpreter())
    others = {
        A: covered(spec("a", "b", "c"), interpreter("3.10.1")),
        B: covered(spec("a", "b"), interpreter()),
    }
    assert nearest(wanted, others) == B
    found = why_built(C, wanted, others)
    assert (found.left, found.right) == (B, C)
    assert found.summary == (
        f"{C[:12]} was built: {B[:12]}, the nearest that was there, differs in requirements (+ c)"
    )


def test_the_first_environment_of_a_node_and_one_that_was_changed() -> None:
    wanted = covered(spec("a"), interpreter())
    assert why_built(A, wanted, {A: wanted}).summary.endswith("the node had no other environment")
    assert (
        "covers the same and had been changed" in why_built(f"{A}-1", wanted, {A: wanted}).summary
    )
