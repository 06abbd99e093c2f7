"""``Task.init``: join the run this process belongs to, or begin one.

Joining is on the child's path; what beginning a run needs is imported when it is needed.
"""

from __future__ import annotations

import os
import sys
from _thread import RLock
from collections.abc import Iterable, Mapping

from dray.runtime import aliases
from dray.runtime.errors import InvalidInput, UsageError
from dray.sdk import session
from dray.sdk.light import TYPE_CHECKING, cast
from dray.sdk.parameters import argument_watch
from dray.sdk.session import Session

if TYPE_CHECKING:
    from typing import Any

    from dray.sdk.capture.entry import Entry, Wishes
    from dray.sdk.reporting.streams import Tees
    from dray.sdk.runs.local_run import LocalRun

    Switch = bool | Mapping[str, Any]

#: What a task may be for, as words; ``models.TaskType`` has the same (a test compares).
TYPES = (
    "training",
    "testing",
    "inference",
    "data_processing",
    "application",
    "monitor",
    "controller",
    "optimizer",
    "service",
    "qc",
    "custom",
)
STREAMS = ("stdout", "stderr")


class _State:
    """What this process holds of its run; one run at a time."""

    run: LocalRun | None = None
    #: Streams of a child of a run started by hand.
    child_tees: Tees | None = None
    #: What ``Task.init`` was asked for, to compare a second call with.
    asked: tuple[str | None, str | None, str] | None = None
    #: Said before ``Task.init`` by ``add_requirements`` and its like.
    wishes: Wishes | None = None
    #: Two threads may come to ``Task.init`` at once; there is one run.
    lock = RLock()


class Options:
    """The arguments of ``Task.init`` that are more than names."""

    def __init__(
        self,
        *,
        tags: str | Iterable[str] | None = None,
        reuse_last_task_id: bool | str = True,
        continue_last_task: bool | str | int = False,
        output_uri: str | os.PathLike[str] | bool | None = None,
        auto_connect_arg_parser: Switch = True,
        auto_connect_frameworks: Switch = True,
        auto_resource_monitoring: Any = True,
        auto_connect_streams: Switch = True,
        deferred_init: bool = False,
        entry: Entry | None = None,
        bootstrap: bool = False,
    ) -> None:
        self.tags = tags
        self.reuse_last_task_id = reuse_last_task_id
        self.continue_last_task = continue_last_task
        self.output_uri = output_uri
        self.auto_connect_arg_parser = auto_connect_arg_parser
        self.auto_connect_frameworks = auto_connect_frameworks
        self.auto_resource_monitoring = auto_resource_monitoring
        self.auto_connect_streams = auto_connect_streams
        self.deferred_init = deferred_init
        self.entry = entry
        self.bootstrap = bootstrap


def start(project: str | None, name: str | None, task_type: str, options: Options) -> Session:
    """The run of this process, begun now unless there is one.

    Raises:
        InvalidInput: a value that cannot be used.
        UsageError: another task is running here already.
    """
    with _State.lock:
        return _start(project, name, task_type, options)


def _start(project: str | None, name: str | None, task_type: str, options: Options) -> Session:
    _check(options)
    attempt = session.current()
    if attempt is None and "LOCAL_RANK" in os.environ:
        attempt = _of_launch()
    if attempt is not None and _State.run is None and (attempt.is_remote or not attempt.is_master):
        _join(attempt, options)
        return attempt
    _check_type(task_type)
    asked = (project, name, task_type)
    if attempt is not None:
        if _State.run is not None and _State.run.request.bootstrap and not options.bootstrap:
            _name(attempt, asked, options)
        _check_same(attempt, asked)
        return attempt
    run = _begin(asked, options)
    _State.run, _State.asked = run, asked
    if "LOCAL_RANK" in os.environ:
        from dray.sdk.runs import ranks

        ranks.lead(run.attempt)
    _connect(run.attempt, options)
    return run.attempt


def current_run() -> LocalRun | None:
    """What this process holds of the run it began by hand."""
    return _State.run


def current() -> Session | None:
    """The run of this process; a process that one of its runs started joins it as it is asked."""
    attempt = session.current()
    if attempt is not None and not attempt.is_remote and not attempt.is_master:
        _keep_streams(attempt, True)
    return attempt


def wishes() -> Wishes:
    """What was said about packages before ``Task.init``."""
    from dray.sdk.capture.entry import Wishes

    if _State.wishes is None:
        _State.wishes = Wishes()
    return _State.wishes


def forget() -> None:
    """No run belongs to this process any more; ``Task.init`` may begin another."""
    _State.run = _State.asked = None
    argument_watch.disconnect()
    from dray.sdk import hooks

    hooks.uninstall()
    if "dray.sdk.capture.notebook" in sys.modules:
        from dray.sdk.capture import notebook

        notebook.leave()


def output_uri_of(value: Any) -> str | None:
    """A destination as it is recorded: empty for the server's store, None when nothing was said.

    Raises:
        WrongType: neither a switch nor a place.
        InvalidInput: a place nothing can be written to from here.
    """
    attempt = session.current()
    is_remote = attempt is not None and attempt.is_remote
    if value is None:
        value = aliases.variable("DEFAULT_OUTPUT_URI")
    if value is None and not is_remote:
        from dray.runtime import config

        value = config.load().settings.output_uri or None
    if value is None or isinstance(value, bool):
        return None if value is None else ""
    from dray.sdk.storage import destinations

    return destinations.checked(value, is_remote=is_remote)


def _check_type(task_type: str) -> None:
    if task_type not in TYPES:
        raise InvalidInput(
            f"task_type {task_type!r} is none of {', '.join(TYPES)}",
            field="task_type",
            value=task_type,
        )


def _check(options: Options) -> None:
    output_uri_of(options.output_uri)
    if options.auto_connect_frameworks is not False:
        from dray.sdk import hooks

        hooks.check(options.auto_connect_frameworks)


def _of_launch() -> Session | None:
    """The run that rank 0 of this launch began; None where this rank begins one."""
    from dray.sdk.runs import ranks

    return ranks.follow() if ranks.is_follower() else None


def _connect(attempt: Session, options: Options) -> None:
    """Record what happens in this process from now on."""
    from dray.sdk import hooks

    argument_watch.connect(options.auto_connect_arg_parser, options.auto_connect_frameworks)
    if options.auto_connect_frameworks:
        hooks.install(attempt, options.auto_connect_frameworks)
    if "dray.sdk.capture.notebook" in sys.modules:
        from dray.sdk.capture import notebook

        notebook.follow(attempt)
    offset = aliases.variable("SET_ITERATION_OFFSET")
    if offset is not None and attempt.is_master:
        from dray.sdk.tasks.iterations import whole

        number = int(offset) if offset.strip().isdigit() else offset
        attempt.count_from(whole(number, "DRAY_SET_ITERATION_OFFSET"))
    from dray.sdk.runs import seeds

    seeds.apply()


def _join(attempt: Session, options: Options) -> None:
    """Under an agent, or in a child of a run started by hand."""
    offset = options.continue_last_task
    if attempt.is_remote and isinstance(offset, int) and not isinstance(offset, bool):
        from dray.sdk.tasks.iterations import whole

        attempt.count_from(whole(offset, "continue_last_task"))
    output_uri = output_uri_of(options.output_uri)
    execution = cast("dict[str, Any]", attempt.task.setdefault("execution", {}))
    if attempt.is_remote and output_uri and not execution.get("output_uri"):
        execution["output_uri"] = output_uri  # what is stored, wins
        attempt.record("execution", values={"output_uri": output_uri})
    _connect(attempt, options)
    monitoring = _monitoring(options.auto_resource_monitoring)
    if attempt.is_remote and attempt.is_master and monitoring:
        # As ``runtime/monitoring.py`` has it: for the agent, which samples.
        session.write_file(os.path.join(attempt.spool, "monitoring.json"), monitoring)
    if not attempt.is_remote:
        _keep_streams(attempt, options.auto_connect_streams)


def _keep_streams(attempt: Session, switch: Switch) -> None:
    """Keep what a child prints; a forked one has its parent's streams, which are kept already."""
    parents: list[str] = attempt.attempt.get("streams", list(STREAMS))
    names = tuple(name for name in _streams(switch) if name in parents)
    if _State.child_tees is None and names:
        from dray.sdk.reporting.streams import Tees

        _State.child_tees = Tees(attempt.spool, names)


def _name(attempt: Session, asked: tuple[str | None, str | None, str], options: Options) -> None:
    """A script that was recorded as it is calls ``Task.init`` itself: it names the run."""
    from dray.sdk.tasks.handle import RunningHandle
    from dray.sdk.tasks.labels import tag_list

    handle, task = RunningHandle(attempt), attempt.task
    project, name, task_type = asked
    if {project or task["project"], name or task["name"]} != {task["project"], task["name"]}:
        handle.put_label(name=name or task["name"], project=project or task["project"])
    handle.put_tags([*(task.get("tags") or []), *tag_list(options.tags or ())])
    _State.asked = (project, name, task_type)
    if task_type != task["type"]:
        session.say(f"the run is recorded as {task['type']} already, not as {task_type}")
        task["type"] = task_type  # what a third call is compared with
    if _State.run is not None:
        _State.run.request = _named(_State.run.request)


def _named(request: Any) -> Any:
    from dataclasses import replace

    return replace(request, bootstrap=False)


def _check_same(attempt: Session, asked: tuple[str | None, str | None, str]) -> None:
    standing = _State.asked or (None, None, asked[2])
    for field, new, old, now in (
        ("project_name", asked[0], standing[0], attempt.task["project"]),
        ("task_name", asked[1], standing[1], attempt.task["name"]),
        ("task_type", asked[2], standing[2], attempt.task["type"]),
    ):
        if new is not None and new not in (old, now):
            raise UsageError(
                f"task {attempt.task_id[:8]} is running here with {field}={now!r}; Task.init was "
                f"called again with {new!r}. Call task.close() first, or Task.create for a draft",
                field=field,
                value=new,
            )


def _begin(asked: tuple[str | None, str | None, str], options: Options) -> LocalRun:
    from dray.sdk.runs import local_run
    from dray.sdk.tasks.labels import tag_list

    going_on: Any = None
    if options.continue_last_task is not False:
        from dray.sdk.runs import continuing

        going_on = continuing.wanted(options.continue_last_task, options.reuse_last_task_id)
    reuse = options.reuse_last_task_id
    return local_run.begin(
        local_run.Request(
            project=asked[0],
            name=asked[1],
            type=asked[2],
            tags=tuple(tag_list(options.tags or ())),
            reuse=False if reuse is True and aliases.is_on("TASK_NO_REUSE") else reuse,
            going_on=going_on,
            output_uri=output_uri_of(options.output_uri) or "",
            streams=_streams(options.auto_connect_streams),
            monitoring=_monitoring(options.auto_resource_monitoring),
            entry=options.entry,
            bootstrap=options.bootstrap,
            deferred=options.deferred_init or aliases.is_on("DEFERRED_TASK_INIT"),
            simulated=_simulated(),
            wishes=wishes(),
        )
    )


def _streams(switch: Switch) -> tuple[str, ...]:
    if isinstance(switch, Mapping):
        return tuple(name for name in (*STREAMS, "logging") if switch.get(name))
    return STREAMS if switch else ()


def _simulated() -> str:
    """Id of the task to run as an agent would; empty for a run of its own."""
    asked = os.environ.get("DRAY_SIMULATE_TASK_ID", "")
    simulates = os.environ.get("CLEARML_SIMULATE_REMOTE_TASK", "").strip().lower()
    if not asked and simulates in ("1", "true", "yes", "on"):
        asked = os.environ.get("CLEARML_TASK_ID", "")
    return asked


def _monitoring(wanted: Any) -> dict[str, Any]:
    """How the machine is sampled; ``every_s`` of 0 is not at all.

    Raises:
        InvalidInput: seconds that are none.
    """
    if isinstance(wanted, bool):
        return {} if wanted else {"every_s": 0}
    if not isinstance(wanted, Mapping):
        session.say(
            f"auto_resource_monitoring: {wanted!r} cannot sample in another process, so the "
            "machine is sampled as usual; False switches that off"
        )
        return {}
    given = cast("Mapping[str, Any]", wanted)
    every_s = given.get("report_frequency_sec")
    other = sorted(set(given) - {"report_frequency_sec"})
    if other:
        session.say(f"auto_resource_monitoring: {', '.join(other)} mean nothing here")
    if every_s is None:
        return {}
    if not isinstance(every_s, (int, float)) or every_s <= 0:
        raise InvalidInput(
            f"auto_resource_monitoring: report_frequency_sec {every_s!r} is no number of seconds",
            field="auto_resource_monitoring",
            value=every_s,
        )
    return {"every_s": float(every_s)}
