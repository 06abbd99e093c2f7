"""What requests about models carry; each refuses members it does not know."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Annotated, Any, cast

from fastapi import Body
from pydantic import BeforeValidator, ConfigDict

from dray.runtime.errors import InvalidInput
from dray.runtime.registry import Metadatum, Model
from dray.runtime.store.model_edit import ModelEdit

_STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True)
class NewModel:
    """The members of a model that its maker may set.

    Attributes:
        id: made by the caller (32 hexadecimal digits); empty: made by the server.
    """

    __pydantic_config__ = _STRICT

    name: str
    project: str
    id: str = ""
    task_id: str = ""
    framework: str = ""
    uri: str = ""
    filename: str = ""
    sha256: str = ""
    n_bytes: int = 0
    tags: list[str] = field(default_factory=list[str])
    system_tags: list[str] = field(default_factory=list[str])
    comment: str = ""
    labels: dict[str, int] = field(default_factory=dict[str, int])
    config_text: str = ""
    config_type: str = ""
    metadata: dict[str, Metadatum] = field(default_factory=dict[str, Metadatum])
    iteration: int | None = None
    published: bool = False
    owner: str = ""

    def model(self, id: str) -> Model:
        """A model with these members."""
        given: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        given["id"] = id
        return Model(**given)


_EDITABLE = {f.name for f in fields(ModelEdit)}


def _known_members(body: Any) -> Any:
    """Refuse members that cannot be edited; they would do nothing."""
    given = cast("dict[str, Any]", body) if isinstance(body, dict) else {}
    for name in sorted(set(given) - _EDITABLE):
        raise InvalidInput(
            f"there is no member {name!r} to set; there are {', '.join(sorted(_EDITABLE))}",
            field=name,
        )
    return cast("Any", body)


@dataclass(frozen=True)
class ModelLink:
    """Which model a task is to have by a name."""

    __pydantic_config__ = _STRICT

    model_id: str


NewModelBody = Annotated[NewModel, Body()]
ModelEditBody = Annotated[ModelEdit, BeforeValidator(_known_members), Body()]
