"""Variables of ClearML's programs that mean the same here: one table, read by everybody.

``CLEARML_X`` and ``TRAINS_X`` stand for the variable named beside them; ``DRAY_…`` itself wins.
Names that point at a ClearML server (hosts, keys) are left out on purpose: it is no server of ours.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False  # type checkers take it for true; the import is dear in a child
if TYPE_CHECKING:
    from collections.abc import Mapping

#: Name after ``DRAY_`` → name after ``CLEARML_`` and ``TRAINS_``.
ALIASES = {
    # settings
    "OFFLINE": "OFFLINE_MODE",
    # Task.init
    "TASK_NO_REUSE": "TASK_NO_REUSE",
    "SET_ITERATION_OFFSET": "SET_ITERATION_OFFSET",
    "DEFERRED_TASK_INIT": "DEFERRED_TASK_INIT",
    "DEFAULT_OUTPUT_URI": "DEFAULT_OUTPUT_URI",
    "LOG_ENVIRONMENT": "LOG_ENVIRONMENT",
    # Task.launch_multi_node
    "MULTI_NODE_MASTER_DEF_ADDR": "MULTI_NODE_MASTER_DEF_ADDR",
    "MULTI_NODE_MASTER_DEF_PORT": "MULTI_NODE_MASTER_DEF_PORT",
    # what is captured of the code, in place of what git says
    "VCS_REPO_URL": "VCS_REPO_URL",
    "VCS_COMMIT_ID": "VCS_COMMIT_ID",
    "VCS_BRANCH": "VCS_BRANCH",
    "VCS_WORK_DIR": "VCS_WORK_DIR",
    "VCS_ENTRY_POINT": "VCS_ENTRY_POINT",
    "VCS_DIFF": "VCS_DIFF",
    # artifacts
    "BLOCK_PICKLED_ARTIFACTS": "BLOCK_PICKLED_ARTIFACTS",
}
#: What Dray reads besides its settings; no unknown setting.
VARIABLES = frozenset(
    {f"DRAY_{name}" for name in ALIASES if name != "OFFLINE"}
    | {"DRAY_AUTO_INIT", "DRAY_SIMULATE_TASK_ID"}
)
_YES = frozenset({"1", "true", "yes", "on"})


def variable(name: str, environ: Mapping[str, str] | None = None) -> str | None:
    """The value of ``DRAY_`` + ``name``, else of what ClearML calls so; None where none is set."""
    env = os.environ if environ is None else environ
    theirs = ALIASES.get(name)
    for variable in (f"DRAY_{name}", f"CLEARML_{theirs}", f"TRAINS_{theirs}"):
        if variable in env and (theirs is not None or variable.startswith("DRAY_")):
            return env[variable]
    return None


def is_on(name: str) -> bool:
    """Whether the switch ``name`` is set to yes."""
    return (variable(name) or "").strip().lower() in _YES
