"""What holds for every test."""

from __future__ import annotations

import os

from hypothesis import settings

# Machines that run tests are shared: how long one example takes says nothing about the code. The
# examples are the same in every run, so that a change is judged by what it changes; to look for new
# ones: DRAY_TEST_RANDOM=1 make test.
settings.register_profile(
    "dray", deadline=None, derandomize=os.environ.get("DRAY_TEST_RANDOM") != "1"
)
settings.load_profile("dray")
