"""One protection, and how it is taken away."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Mutant:
    """A change to one file after which Dray breaks a promise.

    Attributes:
        name: short and stable.
        removes: the protection that goes, in one sentence.
        serves: what it is there for: an invariant, or a promise of ``docs/reliability.md``.
        file: which is changed, from the root of the repository.
        text: what is replaced; it is there exactly once.
        instead: what takes its place.
        tests: what pytest is given; at least one of them must fail.
    """

    name: str
    removes: str
    serves: str
    file: str
    text: str
    instead: str
    tests: tuple[str, ...]

    def apply(self, root: Path) -> str:
        """Change the file below ``root``; returns what was in it.

        Raises:
            LookupError: the text is not in the file exactly once.
        """
        path = root / self.file
        source = path.read_text("utf-8")
        path.write_text(self.changed(source), "utf-8")
        return source

    def changed(self, source: str) -> str:
        """``source`` without the protection.

        Raises:
            LookupError: the text is not in it exactly once.
        """
        n_found = source.count(self.text)
        if n_found != 1:
            raise LookupError(
                f"mutant {self.name}: its text is {n_found} times in {self.file}, not once; "
                f"adapt it in tests/mutants/:\n{self.text}"
            )
        return source.replace(self.text, self.instead)
