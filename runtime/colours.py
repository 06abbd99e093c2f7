"""Colours and styles of a terminal (SGR) as a state: what holds after any number of changes."""

from __future__ import annotations

#: What each code sets, and which codes take it back.
_STYLES = {
    1: "bold",
    2: "faint",
    3: "italic",
    4: "underline",
    5: "blink",
    6: "blink",
    7: "inverse",
    8: "hidden",
    9: "strike",
}
_OFF = {
    22: ("bold", "faint"),
    23: ("italic",),
    24: ("underline",),
    25: ("blink",),
    27: ("inverse",),
    28: ("hidden",),
    29: ("strike",),
    39: ("front",),
    49: ("back",),
}
#: Codes of an extended colour: how many numbers follow its kind.
_EXTENDED = {5: 1, 2: 3}


class Colours:
    """The state; its size is bounded whatever it is told.

    Attributes:
        sequence: the one escape sequence that brings a terminal there from its default; empty
            for the default itself.
    """

    def __init__(self) -> None:
        self._set: dict[str, str] = {}
        self.sequence = ""

    def apply(self, parameters: str) -> None:
        """Apply the parameters of a sequence, such as ``1;31``; what makes no sense is left out."""
        parts = parameters.split(";")
        if all(part == "" or part.isdigit() for part in parts):
            codes = [int(part or 0) for part in parts]
            while codes:
                self._apply_one(codes)
        values = [self._set[name] for name in sorted(self._set)]
        self.sequence = f"\x1b[{';'.join(values)}m" if values else ""

    def _apply_one(self, codes: list[int]) -> None:
        code = codes.pop(0)
        if code == 0:
            self._set.clear()
        elif code in _STYLES:
            self._set[_STYLES[code]] = str(code)
        elif code in _OFF:
            for name in _OFF[code]:
                self._set.pop(name, None)
        elif 30 <= code <= 37 or 90 <= code <= 97:
            self._set["front"] = str(code)
        elif 40 <= code <= 47 or 100 <= code <= 107:
            self._set["back"] = str(code)
        elif code in (38, 48):
            n_values = 1 + _EXTENDED.get(codes[0], 0) if codes else 0
            values = [str(min(value, 255)) for value in codes[:n_values]]
            if n_values > 1 and len(values) == n_values:
                self._set["front" if code == 38 else "back"] = ";".join([str(code), *values])
            del codes[:n_values]
