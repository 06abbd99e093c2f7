"""``dray model``: trained models, wherever their weights are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dray.sdk.cli import options, words
from dray.sdk.cli.output import Column, Facts
from dray.sdk.cli.session import Session, group, verb

if TYPE_CHECKING:
    from dray.runtime.registry import Model

app = group("Trained models, and what tasks make of them.")

ModelArgument = Annotated[
    str, typer.Argument(metavar="MODEL", help="Id of a model, or its first digits.")
]


@verb(app, "list")
def list_(
    session: Session,
    project: options.Project = None,
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="A part of the name.")
    ] = None,
    tags: options.Tags = None,
    task: Annotated[
        str | None, typer.Option("--task", metavar="TASK", help="Made or used by this task.")
    ] = None,
    published: Annotated[
        bool, typer.Option("--published", help="Only those that cannot change any more.")
    ] = False,
    all_: Annotated[bool, typer.Option("--all", help="Archived ones too.")] = False,
    metadata: Annotated[
        list[str] | None,
        typer.Option("--metadata", metavar="KEY=VALUE", help="Fact it has; several times."),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", min=1, help="At most so many.")
    ] = 50,
) -> None:
    """List models, newest first."""
    found: list[Model] = []
    for model in session.client.iter_models(
        project=project or "",
        name=name or "",
        tag=["__$all", *tags] if tags else [],
        task=session.client.get_task(task).id if task else "",
        only_published=published,
        include_archived=all_,
        metadata=options.pairs(metadata, "--metadata"),
        page_size=min(limit, 200),
    ):
        found.append(model)
        if len(found) >= limit:
            break
    columns: list[Column[Model]] = [
        Column("MODEL", lambda m: m.id, lambda m: words.short_id(m.id)),
        Column("NAME", lambda m: m.name),
        Column("PROJECT", lambda m: m.project),
        Column("FRAMEWORK", lambda m: m.framework),
        Column("PUBLISHED", lambda m: "yes" if m.published else "no"),
        Column("UPDATED", lambda m: words.moment(m.updated_at), lambda m: words.ago(m.updated_at)),
        Column("TAGS", lambda m: ",".join([*m.tags, *m.system_tags])),
    ]
    session.out.table(found, columns, empty="No models.")


@verb(app, "show")
def show(session: Session, model_id: ModelArgument) -> None:
    """Show everything known of a model."""
    model = session.client.get_model(model_id)
    facts = Facts()
    facts.add("model", model.name)
    facts.add("id", model.id)
    facts.add("project", model.project)
    facts.add("published", "yes" if model.published else "no")
    facts.add("framework", model.framework)
    facts.add("made by task", model.task_id)
    facts.add("iteration", model.iteration)
    facts.add("tags", ", ".join(model.tags))
    facts.add("system tags", ", ".join(model.system_tags))
    facts.add("comment", model.comment)
    facts.add("owner", model.owner)
    facts.add("created", words.moment(model.created_at))
    facts.add("updated", words.moment(model.updated_at))
    facts.group("Weights")
    facts.add("at", model.uri or ("the server" if model.sha256 else ""))
    facts.add("file", model.filename)
    facts.add("bytes", model.n_bytes or None)
    facts.add("sha256", model.sha256)
    facts.group("Labels")
    for label, number in sorted(model.labels.items(), key=lambda pair: pair[1]):
        facts.add(label, number)
    facts.group("Metadata")
    for key, fact in sorted(model.metadata.items()):
        facts.add(key, fact.value)
    facts.group("Configuration")
    facts.add("text", model.config_text)
    facts.group("Reported")
    for key, value in sorted(session.client.model_single_values(model.id).items()):
        facts.add(key, words.value(value))
    session.out.facts(model, facts)


@verb(app, "publish")
def publish(session: Session, model_id: ModelArgument) -> None:
    """Make a model read-only for ever."""
    model = session.client.publish_model(model_id)
    session.out.answer(model, f"{model.id} published")


@verb(app, "delete")
def delete(session: Session, model_id: ModelArgument, force: options.Force = False) -> None:
    """Delete a model. One that is published or that a task needs only with --force."""
    model = session.client.delete_model(model_id, force=force)
    session.out.answer(model, f"{model.id} deleted")
    if model.uri:
        session.out.note(f"Its weights stay at {model.uri}")


@verb(app, "download")
def download(
    session: Session,
    model_id: ModelArgument,
    to: Annotated[
        Path | None,
        typer.Option("--to", metavar="PATH", help="File or folder; its own name here unless said."),
    ] = None,
) -> None:
    """Fetch the weights of a model. Prints where they are."""
    import shutil

    from dray.runtime.codec import to_json
    from dray.runtime.errors import NotFound
    from dray.sdk.storage import places

    model = session.client.get_model(model_id)
    target = to or Path(model.filename or model.id)
    if target.is_dir():
        target = target / (model.filename or model.id)
    if not model.uri and not model.sha256:
        raise NotFound(f"model {model.id[:8]} ({model.name}) has no weights", id=model.id)
    if not model.uri:
        session.client.get_blob(model.sha256, target)
    elif (
        places.scheme_of(model.uri) in places.LOCAL_SCHEMES
        and places.local_path(model.uri).is_dir()
    ):
        shutil.copytree(places.local_path(model.uri), target, dirs_exist_ok=True)
    else:
        places.place_of(model.uri).download(model.uri, target)
    session.out.answer({**to_json(model), "path": str(target)}, str(target))
