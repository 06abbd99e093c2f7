"""Every mutant there is, by what is taken away."""

from __future__ import annotations

from tests.mutants.catalogue import disk, epochs, fences, intake, rules
from tests.mutants.mutant import Mutant

CATALOGUE: tuple[Mutant, ...] = (
    *epochs.MUTANTS,
    *intake.MUTANTS,
    *fences.MUTANTS,
    *disk.MUTANTS,
    *rules.MUTANTS,
)
