"""Amounts: what fits, what is missing, and that taking and giving back is even."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dray.runtime.errors import InvalidInput
from dray.runtime.resources import Resources, add, check, fits, missing, subtract

amounts = st.sampled_from([0.0, 0.1, 0.25, 0.5, 1.0, 2.0, 8.0])
some = st.builds(
    Resources, amounts, amounts, st.integers(0, 2**36), st.dictionaries(st.just("tpu"), amounts)
)


@given(some, some)
def test_it_fits_where_nothing_is_missing(wanted: Resources, held: Resources) -> None:
    assert fits(wanted, held.amounts()) == (missing(wanted, held.amounts()) == {})


@given(some, some)
def test_what_was_taken_and_given_back_fits_again(wanted: Resources, held: Resources) -> None:
    after = add(subtract(held.amounts(), wanted), wanted)
    assert fits(held, after)


def test_ten_tenths_of_a_gpu_are_one() -> None:
    free = {"CPU": 10.0, "GPU": 1.0}
    tenth = Resources(cpus=1, gpus=0.1)
    for _ in range(10):
        assert fits(tenth, free)
        free = subtract(free, tenth)
    assert not fits(tenth, free)


def test_what_is_missing_is_named_by_amount() -> None:
    assert missing(Resources(cpus=4, gpus=1), {"CPU": 3.0}) == {"CPU": 1.0, "GPU": 1.0}


@pytest.mark.parametrize(
    ("resources", "field"),
    [
        (Resources(cpus=-1), "resources.cpus"),
        (Resources(gpus=1.5), "resources.gpus"),
        (Resources(memory_bytes=-1), "resources.memory_bytes"),
        (Resources(custom={"tpu": -1}), "resources.tpu"),
        (Resources(cpus=0.00001), "resources.cpus"),
        (Resources(custom={"CPU": 1}), "resources.custom.CPU"),
        (Resources(custom={"memory": 1}), "resources.custom.memory"),
        (Resources(custom={"": 1}), "resources.custom."),
    ],
)
def test_amounts_ray_cannot_hold_are_refused_by_field(resources: Resources, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check(resources)
    assert caught.value.details["field"] == field


def test_a_label_is_short_and_says_what_it_holds() -> None:
    assert Resources().label() == "1cpu"
    assert Resources(2, 0.5, 2**30, {"tpu": 1}).label() == "2cpu-0.5gpu-1.0gib-1tpu"
