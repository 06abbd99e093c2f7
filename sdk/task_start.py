"""``Task.init``: join the run this process belongs to, or begin one.

Joining is on the child's path; what beginning a run needs is imported when it is needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dray.runtime.errors import InvalidInput
from dray.sdk import argument_watch, session
from dray.sdk.light import TYPE_CHECKING
from dray.sdk.session import Session

if TYPE_CHECKING:
    from typing import Any

    from dray.sdk.capture import Entry, Wishes
    from dray.sdk.local_run import LocalRun
    from dray.sdk.streams import Tees

    Switch = bool | Mapping[str, Any]


class _State:
    """What this process holds of its run; one run at a time."""

    run: LocalRun | None = None
    #: Streams of a child of a run started by hand.
    child_tees: Tees | None = None
    #: What ``Task.init`` was asked for, to compare a second call with.
    asked: tuple[str | None, str | None, str] | None = None
    #: Said before ``Task.init`` by ``add_requirements`` and its like.
    wishes: Wishes | None = None


class Options:
    """The arguments of ``Task.init`` that are more than names."""

    def __init__(
        self,
        *,
        tags: str | Iterable[str] | None = None,
        reuse_last_task_id: bool | str = True,
        continue_last_task: bool | str | int = False,
        output_uri: str | bool | None = None,
        auto_connect_arg_parser: Switch = True,
        auto_connect_frameworks: Switch = True,
        auto_resource_monitoring: Switch = True,
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
        InvalidInput: a value that cannot be used, or another task is running here already.
    """
    attempt = session.current()
    if attempt is not None and (attempt.is_remote or not attempt.is_master):
        _join(attempt, options)
        return attempt
    asked = (project, name, task_type)
    if attempt is not None:
        _check_same(attempt, asked)
        return attempt
    _explain(options)
    run = _begin(asked, options)
    _State.run, _State.asked = run, asked
    argument_watch.connect(options.auto_connect_arg_parser)
    return run.attempt


def current_run() -> LocalRun | None:
    """What this process holds of the run it began by hand."""
    return _State.run


def wishes() -> Wishes:
    """What was said about packages before ``Task.init``."""
    from dray.sdk.capture import Wishes

    if _State.wishes is None:
        _State.wishes = Wishes()
    return _State.wishes


def forget() -> None:
    """No run belongs to this process any more; ``Task.init`` may begin another."""
    _State.run = _State.asked = None
    argument_watch.disconnect()


def _join(attempt: Session, options: Options) -> None:
    """Under an agent, or in a child of a run started by hand."""
    offset = options.continue_last_task
    if attempt.is_remote and isinstance(offset, int) and not isinstance(offset, bool):
        from dray.sdk.task_iterations import whole

        attempt.count_from(whole(offset, "continue_last_task"))
    argument_watch.connect(options.auto_connect_arg_parser)
    if not attempt.is_remote and _State.child_tees is None and options.auto_connect_streams:
        from dray.sdk.streams import Tees

        # A forked child has its parent's streams, which are kept already.
        _State.child_tees = Tees(attempt.spool, _streams(options.auto_connect_streams))


def _check_same(attempt: Session, asked: tuple[str | None, str | None, str]) -> None:
    standing = _State.asked or (None, None, asked[2])
    for field, new, old, now in (
        ("project_name", asked[0], standing[0], attempt.task["project"]),
        ("task_name", asked[1], standing[1], attempt.task["name"]),
        ("task_type", asked[2], standing[2], attempt.task["type"]),
    ):
        if new is not None and new not in (old, now):
            raise InvalidInput(
                f"task {attempt.task_id[:8]} is running here with {field}={now!r}; Task.init was "
                f"called again with {new!r}. Call task.close() first, or Task.create for a draft",
                field=field,
                value=new,
            )


def _explain(options: Options) -> None:
    """Say what was asked for and is not done."""
    if isinstance(options.auto_connect_frameworks, Mapping):
        session.say("auto_connect_frameworks: models of frameworks are not recorded yet")
    if isinstance(options.output_uri, str):
        session.say("output_uri is noted; artifacts go to the server's own store all the same")
    if options.auto_resource_monitoring is not True:
        session.say("auto_resource_monitoring: samples are taken by another process, all the same")
    if options.deferred_init:
        session.say("deferred_init: there is nothing to defer, the run begins now")


def _begin(asked: tuple[str | None, str | None, str], options: Options) -> LocalRun:
    from dray.sdk import continuing, local_run
    from dray.sdk.task_labels import tag_list

    return local_run.begin(
        local_run.Request(
            project=asked[0],
            name=asked[1],
            type=asked[2],
            tags=tuple(tag_list(options.tags or ())),
            reuse=options.reuse_last_task_id,
            going_on=continuing.wanted(options.continue_last_task, options.reuse_last_task_id),
            output_uri=options.output_uri if isinstance(options.output_uri, str) else "",
            streams=_streams(options.auto_connect_streams),
            entry=options.entry,
            bootstrap=options.bootstrap,
            wishes=wishes(),
        )
    )


def _streams(switch: Switch) -> tuple[str, ...]:
    names = ("stdout", "stderr")
    if isinstance(switch, Mapping):
        return tuple(name for name in names if switch.get(name, True))
    return names if switch else ()
