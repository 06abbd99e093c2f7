"""``python -m tests.mutants [NAME ...]``: takes protections away and sees that tests fail."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from queue import SimpleQueue

from tests.mutants.catalogue import CATALOGUE
from tests.mutants.mutant import Mutant
from tests.mutants.workplace import Outcome, Verdict, Workplace


def main() -> int:
    """The exit status: 0 all were noticed, 1 one survived, 2 nothing is proved."""
    options = _options()
    known = {mutant.name: mutant for mutant in CATALOGUE}
    unknown = [name for name in options.names if name not in known]
    if unknown:
        print(f"no mutant {', '.join(unknown)}; --list names them", file=sys.stderr)
        return 2
    chosen = [known[name] for name in dict.fromkeys(options.names)] or list(CATALOGUE)
    if options.list:
        for mutant in chosen:
            print(f"{mutant.name:<32} {mutant.file:<32} {mutant.serves}\n    {mutant.removes}")
        return 0
    with ExitStack() as stack:
        places = [stack.enter_context(closing(Workplace())) for _ in range(options.jobs)]
        return 2 if not _are_sound(places[0], chosen) else _report(_judged(places, chosen))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="these only; by default all")
    parser.add_argument("--list", action="store_true", help="say what each takes away, run nothing")
    parser.add_argument("--jobs", type=int, default=1, help="so many at a time (default: 1)")
    return parser.parse_args()


def _are_sound(place: Workplace, chosen: list[Mutant]) -> bool:
    """Whether the tests pass while nothing is taken away; a failure would prove nothing."""
    tests = dict.fromkeys(test for mutant in chosen for test in mutant.tests)
    outcome = place.run(tests, all_of_them=True)
    if outcome.verdict is not Verdict.SURVIVED:
        print(f"{outcome.output}\nthese tests must pass before anything is taken away")
        return False
    print(f"{len(tests)} selections pass with every protection there ({outcome.seconds:.0f} s)")
    return True


def _judged(places: list[Workplace], chosen: list[Mutant]) -> Iterator[tuple[Mutant, Outcome]]:
    free: SimpleQueue[Workplace] = SimpleQueue()
    for place in places:
        free.put(place)

    def judge(mutant: Mutant) -> Outcome:
        place = free.get()
        try:
            return place.judge(mutant)
        finally:
            free.put(place)

    with ThreadPoolExecutor(len(places)) as pool:
        yield from zip(chosen, pool.map(judge, chosen), strict=True)


def _report(judged: Iterator[tuple[Mutant, Outcome]]) -> int:
    counts = dict.fromkeys(Verdict, 0)
    for mutant, outcome in judged:
        counts[outcome.verdict] += 1
        verdict, seconds = outcome.verdict.value, f"{outcome.seconds:.1f} s"
        print(f"{verdict:<9} {mutant.name:<32} {seconds:>7}  {outcome.first}", flush=True)
        if outcome.verdict is Verdict.SURVIVED:
            print(f"    {mutant.removes}\n    no test of these failed: {', '.join(mutant.tests)}")
        elif outcome.verdict is Verdict.ERROR:
            print(outcome.output)
    print(", ".join(f"{n} {verdict.value}" for verdict, n in counts.items()))
    if counts[Verdict.ERROR]:
        return 2
    return 1 if counts[Verdict.SURVIVED] else 0


if __name__ == "__main__":
    sys.exit(main())
