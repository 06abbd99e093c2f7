"""Replay seeds: ``python -m tests.simulation SEED [-v]``, or run many from there: ``-n 5000``."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter

from tests.simulation.world import simulate

parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
parser.add_argument("seed", type=int, help="the seed to replay, or the first of many")
parser.add_argument("-n", type=int, default=1, metavar="N", help="run so many seeds")
parser.add_argument("-v", action="store_true", help="print everything that happens")


def main() -> int:
    """Run and print; 1 when a promise was broken."""
    asked = parser.parse_args()
    began = time.perf_counter()
    counts: Counter[str] = Counter()
    n_events = n_broken = 0
    for seed in range(asked.seed, asked.seed + asked.n):
        outcome = simulate(seed, traced=asked.v)
        if asked.v:
            print("\n".join(outcome.trace))
        if outcome.violation is not None:
            n_broken += 1
            print(f"seed {seed}: {outcome.violation}")
        counts.update(outcome.counts)
        n_events += outcome.n_events
    for what, n in sorted(counts.items()):
        print(f"{n:10} {what}")
    took_s = time.perf_counter() - began
    print(f"{asked.n} seeds, {n_events} events, {n_broken} violated, {took_s:.1f} s")
    return 1 if n_broken else 0


if __name__ == "__main__":
    sys.exit(main())
