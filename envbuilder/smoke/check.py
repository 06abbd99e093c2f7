"""Whether a task's imports would work, before it has its turn: certain failures, and notes."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from dray.envbuilder.launch.plan import LaunchPlan
from dray.envbuilder.place import NODE, Place
from dray.envbuilder.smoke.scan import Finding, Request
from dray.envbuilder.tools.process import Finished, within
from dray.runtime.causes import Cause, CauseKind
from dray.runtime.execution import Execution

#: A stack of the largest frameworks is imported in half of it by a machine that has other work.
SMOKE_LIMIT_S = 120.0

_ROOT = Path(__file__).parents[3]
#: Ours is found after everything that is installed, and before anything is imported for the task
#: it is off the path again: of the packages beside it the task knows nothing.
_PROGRAM = (
    f"import sys; sys.path.append({str(_ROOT)!r}); "
    "from dray.envbuilder.smoke.importing import main; sys.path.pop(); main()"
)
#: What hides every accelerator: it belongs to tasks that run.
_NO_DEVICES = {
    "CUDA_VISIBLE_DEVICES": "",
    "HIP_VISIBLE_DEVICES": "",
    "NVIDIA_VISIBLE_DEVICES": "void",
    "OMP_NUM_THREADS": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
}
#: Where modules may come from that nobody can see from here.
_OPENING = ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "LD_PRELOAD")


@dataclass(frozen=True)
class Smoke:
    """What a look at the imports came to.

    Attributes:
        cause: why the task is certain to fail; None: nothing says so.
        notes: sentences about what could not be seen, or did not work here.
    """

    cause: Cause | None = None
    notes: tuple[str, ...] = ()
    n_tried: int = 0
    seconds: float = 0.0


async def check_imports(
    execution: Execution,
    plan: LaunchPlan,
    code: Path,
    *,
    place: Place = NODE,
    is_open: bool = False,
    limit_s: float = SMOKE_LIMIT_S,
) -> Smoke:
    """Look at what the entry point of ``execution`` imports, as ``plan`` would start it.

    No module of the code is run. What is installed is imported in one process of the environment
    that sees no accelerator. Never raises for what it finds; safe to cancel.

    Args:
        code: where the task's code lies.
        place: where the environment was built.
        is_open: modules may come from where they cannot be seen from here, so a missing one is
            no more than a note.
        limit_s: for all imports together.
    """
    skipped = _not_looked_at(execution, plan)
    if skipped:
        return Smoke(notes=(skipped,))
    began = time.monotonic()
    root = await asyncio.to_thread(code.resolve)
    folders = [Path(f) for f in plan.env.get("PYTHONPATH", "").split(os.pathsep)[1:] if f]
    request = Request(
        root=str(root),
        cwd=str(plan.cwd),
        entry=execution.entry_point.strip(),
        paths=[str(f) for f in folders if f.is_relative_to(root)],
        provided=["dray"],
    )
    command = [plan.argv[0], "-I", "-c", _PROGRAM, json.dumps(asdict(request))]
    env = {**_without_ours(plan.env), **_NO_DEVICES}
    try:
        finished = await within(
            limit_s, place.run(command, env=env, cwd=plan.cwd, keep_stdout=True)
        )
    except (TimeoutError, OSError) as exc:
        return Smoke(notes=(f"its imports could not be tried: {exc}",))
    is_open = (
        is_open
        or bool(execution.setup_script or execution.container.setup_script)
        or any(name in execution.variables for name in _OPENING)
        or not all(folder.is_relative_to(root) for folder in folders)
    )
    return judge(finished, is_open=is_open, seconds=time.monotonic() - began)


def judge(finished: Finished, *, is_open: bool, seconds: float) -> Smoke:
    """What the output of the process says.

    Args:
        is_open: see :func:`check_imports`.
    """
    findings: list[Finding] = []
    n_tried, is_whole = 0, False
    for line in finished.stdout.splitlines():
        said = json.loads(line)
        if "n_tried" in said:
            n_tried, is_whole = said["n_tried"], True
        else:
            findings.append(Finding(**said))
    certain = [f for f in findings if f.kind == "syntax" or (f.kind != "note" and not is_open)]
    notes = [_in_words(f) for f in findings if f not in certain]
    if not is_whole:
        notes.append(f"trying its imports ended with exit code {finished.code}: {finished.tail}")
    return Smoke(_cause(certain) if certain else None, tuple(notes), n_tried, seconds)


def _not_looked_at(execution: Execution, plan: LaunchPlan) -> str:
    entry = execution.entry_point.strip()
    if execution.binary or Path(plan.argv[0]).name != "python":
        return f"its imports are not looked at: it is run by {plan.argv[0]}"
    if not (entry.startswith("-m") or entry.endswith((".py", ".pyw"))):
        return f"its imports are not looked at: {entry} is no Python script"
    return ""


def _without_ours(env: Mapping[str, str]) -> dict[str, str]:
    return {n: v for n, v in env.items() if not n.startswith("DRAY_") and n != "PYTHONPATH"}


def _in_words(finding: Finding) -> str:
    where = f"{finding.file}, line {finding.line}: " if finding.file else ""
    return f"{where}{finding.message}"


def _cause(findings: list[Finding]) -> Cause:
    first = findings[0]
    if first.kind in ("syntax", "local"):
        kind, what, way_out = _of_the_code(first)
    else:
        kind, what, way_out = _of_the_environment(first)
    more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
    evidence = "\n".join(
        f'  File "{f.file}", line {f.line}\n    {f.statement}\n{_kind_name(f)}: {f.message}'
        for f in findings[:20]
    )
    message = f"{first.file + ', ' if first.file else ''}line {first.line}: {what}{more}; {way_out}"
    return Cause(kind, message).with_evidence(evidence)


def _of_the_code(first: Finding) -> tuple[CauseKind, str, str]:
    if first.kind == "syntax":
        return CauseKind.SOURCE_FAILED, f"syntax error: {first.message}", "correct it and run again"
    hint = f"did you mean {first.nearest!r}? " if first.nearest else ""
    what = f"{first.message} ({hint}imported as `{first.statement}`)"
    return CauseKind.SOURCE_FAILED, what, "correct the import, or add the file to the code"


def _of_the_environment(first: Finding) -> tuple[CauseKind, str, str]:
    if first.kind == "name":
        hint = f" (it has {first.nearest!r})" if first.nearest else ""
        return (
            CauseKind.ENVIRONMENT_FAILED,
            f"{first.message}{hint}",
            "correct the import, or ask for another version of its package with "
            "Task.add_requirements or in the task's packages",
        )
    nearest = f"; the nearest there is {first.nearest!r}" if first.nearest else ""
    return (
        CauseKind.ENVIRONMENT_FAILED,
        f"{first.message}, and its environment was built without it{nearest}",
        "correct the import, or add its package with Task.add_requirements or in the task's "
        "packages",
    )


def _kind_name(finding: Finding) -> str:
    return {
        "syntax": "SyntaxError",
        "name": "ImportError",
    }.get(finding.kind, "ModuleNotFoundError")
