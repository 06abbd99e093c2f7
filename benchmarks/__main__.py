"""Run measures by name, or all of them: ``python -m benchmarks [NAME …]``."""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import sys
import time
from dataclasses import asdict

from benchmarks import report
from benchmarks.catalogue import BY_NAME, CATALOGUE
from benchmarks.measure import Reading
from benchmarks.stand import Stand


def main() -> int:
    """Measure, print, store; 1 when something could not be measured."""
    options = _options()
    if options.list:
        json.dump([asdict(spec) | {"bar": str(spec.bar or "")} for spec in CATALOGUE], sys.stdout)
        return 0
    chosen = set(options.names or BY_NAME)
    unknown = chosen - BY_NAME.keys()
    if unknown:
        sys.exit(f"no measure {', '.join(sorted(unknown))}; there are {', '.join(BY_NAME)}")
    failed = _measure(chosen)
    if options.write_docs:
        report.write_page(report.read_latest())
    return 1 if failed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=main.__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="measures to take; all of them")
    parser.add_argument("--list", action="store_true", help="say as JSON what there is")
    parser.add_argument("--write-docs", action="store_true", help="renew docs/performance.md")
    return parser.parse_args()


def _measure(chosen: set[str]) -> list[str]:
    """Take the chosen measures; the subjects that could not be."""
    failed: list[str] = []
    subjects = dict.fromkeys(spec.subject for spec in CATALOGUE if spec.name in chosen)
    with Stand() as stand:
        for subject in subjects:
            began = time.monotonic()
            module = importlib.import_module(f"benchmarks.{subject}")
            try:
                readings: list[Reading] = module.measure(stand)
            except Exception:
                logging.exception("%s could not be measured", subject)
                failed.append(subject)
                continue
            entries = [report.entry_of(r) for r in readings if r.name in chosen]
            report.store(entries)
            for entry in entries:
                print(report.line(entry), flush=True)
            print(f"{'':31}  ({subject}: {time.monotonic() - began:.0f} s)", file=sys.stderr)
    return failed


if __name__ == "__main__":
    sys.exit(main())
