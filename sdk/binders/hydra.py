"""Hydra: overrides in section ``Hydra``, the composed configuration as object ``OmegaConf``.

Under an agent the stored overrides take the place of those on the command line, and with
``Hydra/_allow_omegaconf_edit_`` the stored configuration takes the place of what was composed.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from typing import Any

from dray.sdk.binders import recorder
from dray.sdk.parameters import argument_watch
from dray.sdk.parameters import values as parameters

SECTION = "Hydra"
CONFIGURATION = "OmegaConf"
ALLOW_EDIT = "_allow_omegaconf_edit_"
#: Jobs of a sweep are alike by name; none takes the place of the one before.
NO_REUSE = "DRAY_TASK_NO_REUSE"
_LIBRARY = "hydra"
_TYPE = "OmegaConf YAML"
_HELP = f"True: the configuration {CONFIGURATION} is used as it is stored, whatever else is here"
_READ_ONLY = f"as composed; edit it and set {SECTION}/{ALLOW_EDIT} to have it used"


def install(module: Any) -> None:
    """Serve ``hydra._internal.hydra`` and who else runs jobs."""
    from importlib import import_module

    recorder.replace(module.Hydra, "run", _running)
    recorder.replace(module.Hydra, "multirun", _sweeping)
    for name in ("hydra.core.utils", "hydra._internal.core_plugins.basic_launcher"):
        recorder.replace(import_module(name), "run_job", _job)
    module.run_job = import_module("hydra.core.utils").run_job


def _running(original: Callable[..., Any]) -> Callable[..., Any]:
    def run(
        self: Any, config_name: Any, task_function: Any, overrides: Any, *args: Any, **kwargs: Any
    ) -> Any:
        given = recorder.guarded(_LIBRARY, _with_stored, self, list(overrides))
        overrides = overrides if given is None else given
        return original(self, config_name, task_function, overrides, *args, **kwargs)

    return run


def _sweeping(original: Callable[..., Any]) -> Callable[..., Any]:
    def multirun(self: Any, *args: Any, **kwargs: Any) -> Any:
        # A stored job is one of the sweep it came from.
        if recorder.stored(_LIBRARY, SECTION):
            return self.run(*args, **kwargs)
        return original(self, *args, **kwargs)

    return multirun


def _job(original: Callable[..., Any]) -> Callable[..., Any]:
    def run_job(*args: Any, **kwargs: Any) -> Any:
        names = ("task_function", "config", "job_dir_key", "job_subdir_key", "hydra_context")
        given = {**dict(zip(names, args, strict=False)), **kwargs}
        config = given["config"]
        is_sweep = str(getattr(config.hydra.mode, "name", "")) == "MULTIRUN"
        was_recording = argument_watch.State.is_recording
        if not (is_sweep and was_recording):  # one task of many jobs has the overrides of none
            recorder.guarded(_LIBRARY, _record, config, given.get("hydra_context"))
        given["task_function"] = functools.partial(_call, given["task_function"])
        result = original(**given)
        if is_sweep and not was_recording:
            recorder.guarded(_LIBRARY, _end_job, result)
        return result

    return run_job


def _call(task_function: Callable[[Any], Any], config: Any) -> Any:
    return task_function(recorder.guarded(_LIBRARY, _settled, config) or config)


def _settled(config: Any) -> Any:
    """What the script is to run with: the stored configuration where that is allowed."""
    from omegaconf import OmegaConf

    attempt = recorder.remote()
    stored = recorder.stored(_LIBRARY, SECTION).get(ALLOW_EDIT, {})
    is_edited = attempt is not None and parameters.to_bool(stored.get("value", ""))
    if attempt is not None and is_edited:
        text = attempt.task["configuration"][CONFIGURATION]["text"]
        return OmegaConf.create(text)
    members = {
        "text": OmegaConf.to_yaml(config, resolve=False),
        "type": _TYPE,
        "description": _READ_ONLY,
    }

    def record(attempt: Any) -> None:
        standing = attempt.task.setdefault("configuration", {})
        if standing.get(CONFIGURATION) != members:
            standing[CONFIGURATION] = members
            attempt.record("configuration", values={CONFIGURATION: members})

    recorder.when_recording(_LIBRARY, record)
    return config


def _record(config: Any, context: Any) -> None:
    values: dict[str, dict[str, str]] = {}
    for override in config.hydra.overrides.task:
        key, equals, value = str(override).partition("=")
        if not _is_group(context, str(override)):
            key = key.lstrip("+")
        values[key] = recorder.members(value if equals else None)
    values[ALLOW_EDIT] = recorder.members(False, _HELP)
    recorder.put(_LIBRARY, values, SECTION)


def _with_stored(hydra: Any, overrides: list[str]) -> list[str]:
    stored = recorder.stored(_LIBRARY, SECTION)
    if not stored:
        return overrides
    # What is said to Hydra itself stays: it is not stored.
    bare_keys = [(text, text.lstrip("+~")) for text in overrides]
    own = [t for t, k in bare_keys if k.startswith("hydra") and not k.startswith("hydra.mode")]
    for key, members in stored.items():
        if key != ALLOW_EDIT:
            text = f"{key}={members['value']}" if members["value"] else key
            if not text.startswith("~"):
                bare = text if "=" in text else f"{text}="
                text = bare if _is_group(hydra, bare) else f"++{bare.lstrip('+')}"
            own.append(text)
    return own


def _is_group(context: Any, override: str) -> bool:
    """Whether an override picks a file of a group, such as ``db=mysql``."""
    from hydra.core.override_parser.overrides_parser import OverridesParser

    try:
        parsed = OverridesParser.create().parse_overrides([override])[0]
        return bool(context.config_loader.repository.group_exists(parsed.key_or_group))
    except Exception:  # Hydra itself complains about what it cannot read
        return False


def _end_job(result: Any) -> None:
    """Of several jobs in one process, each that began a task ends it: the next has its own."""
    start = sys.modules.get("dray.sdk.tasks.start")
    run = None if start is None else start.current_run()
    if run is not None and str(getattr(result.status, "name", "")) == "COMPLETED":
        from dray.sdk.task import Task

        task = Task.current_task()
        if task is not None:
            task.close()
            os.environ[NO_REUSE] = "1"
