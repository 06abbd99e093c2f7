"""Try the imports of a script in its environment: run by the Python that the script will have.

What is installed is imported for real, the user's own files are only read. It imports the
standard library only.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib
import importlib.metadata
import json
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from functools import partial

from dray.envbuilder.smoke.scan import Finding, Request, Scan, Want, is_installed


def try_imports(scan: Scan, tell: Callable[[Finding], None]) -> None:
    """Import what is not of the code, one after the other, and tell what does not work."""
    for want in dict.fromkeys(scan.wants):
        for each in _try(want):
            doubt = _doubt(scan, each)
            text = f"{each.message} ({doubt})"
            tell(replace(each, kind="note", message=text) if doubt else each)


def _doubt(scan: Scan, found: Finding) -> str:
    """Why something that does not work here may work where the task runs; empty: it cannot."""
    if found.kind in ("missing", "name") and scan.is_open:
        return "the code itself changes where it looks"
    if found.kind == "missing" and scan.is_in_the_code(found.module.split(".")[0]):
        return "the code has it, but not where Python looks"
    if found.kind == "name" and scan.sets_variables:
        return "the code sets variables that may matter"
    return ""


def _try(want: Want) -> Iterator[Finding]:
    top = want.module.split(".")[0]
    if is_installed(top) and _is_of_a_folder(top):
        return  # the user's own code, installed: it is not run here
    here = partial(Finding, file=want.file, line=want.line, statement=want.statement)
    try:
        module = importlib.import_module(want.module)
    except ModuleNotFoundError as exc:
        missing = str(exc.name)
        if not f"{want.module}.".startswith(f"{missing}."):
            yield here("note", message=f"importing {want.module} failed here: {exc}")
            return
        nearest = _nearest_installed(top) if missing == top else ""
        yield here("missing", message=str(exc), module=missing, nearest=nearest)
        return
    except BaseException as exc:
        yield here("note", message=f"importing {want.module} failed here: {exc!r}")
        return
    for name in want.names:
        if name != "*":
            yield from _try_name(module, want.module, name, here)


def _try_name(
    module: object, of: str, name: str, here: Callable[..., Finding]
) -> Iterator[Finding]:
    message = f"cannot import name {name!r} from {of!r}"
    try:
        if not hasattr(module, name):
            importlib.import_module(f"{of}.{name}")
    except ModuleNotFoundError as exc:
        if exc.name != f"{of}.{name}":
            yield here("note", message=f"{message}: {exc}")
            return
        near = difflib.get_close_matches(name, dir(module), n=1)
        yield here("name", message=message, module=of, nearest=near[0] if near else "")
    except BaseException as exc:
        yield here("note", message=f"{message}: {exc!r}")


def _is_of_a_folder(top: str) -> bool:
    """Whether an installed module was made from a folder and not from a wheel of an index."""
    for name in importlib.metadata.packages_distributions().get(top, ()):
        with contextlib.suppress(Exception):
            text = importlib.metadata.distribution(name).read_text("direct_url.json")
            if text and "dir_info" in json.loads(text):
                return True
    return False


def _nearest_installed(name: str) -> str:
    known = {*importlib.metadata.packages_distributions(), *sys.stdlib_module_names}
    return next(iter(difflib.get_close_matches(name, known, n=1, cutoff=0.7)), "")


def main() -> None:
    """Tell the findings, one JSON line each; what modules print goes to the error stream."""
    request = Request(**json.loads(sys.argv[1]))
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    warnings.simplefilter("ignore")

    def tell(finding: Finding) -> None:
        print(json.dumps(asdict(finding)), file=out, flush=True)

    scan = Scan(request)
    scan.run()
    for finding in scan.findings:
        tell(finding)
    if all(finding.kind == "note" for finding in scan.findings):
        try_imports(scan, tell)
    print(json.dumps({"n_tried": len(scan.wants)}), file=out, flush=True)
    os._exit(0)  # threads and exit handlers of what was imported are nobody's business
