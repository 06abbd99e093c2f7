"""What Dray keeps of trained models: their facts, and what happened to each.

Plain data like ``runtime.models``, where a task says by which names it has them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

#: System tags with a meaning: hidden from lists; a zip of several files.
ARCHIVED, PACKAGE = "archived", "package"
#: The two ways a task can have a model.
INPUT, OUTPUT = "input", "output"
#: What may be edited of a published model: how people find it, not what it is.
ALWAYS_EDITABLE = frozenset(
    {"name", "project", "comment", "tags", "system_tags", "metadata", "replace_metadata"}
)


@dataclass(frozen=True)
class Metadatum:
    """One fact kept with a model, as text.

    Attributes:
        type: what the text was: ``int``, ``float``, ``bool``, ``str``, ``list``, ``tuple``,
            ``dict`` or empty.
    """

    value: str
    type: str = ""


@dataclass(frozen=True)
class Model:
    """Trained weights, or others' weights that tasks begin with, and what is known of them.

    Attributes:
        project: full name, nested by ``/``.
        task_id: the task that made it; empty for one that was imported.
        framework: such as ``PyTorch`` or ``ScikitLearn``; free text.
        uri: where its weights are when they are not in the blob store.
        filename: name the weights are saved under.
        sha256: of the weights; without a ``uri`` also their address in the blob store.
        n_bytes: size of the weights.
        system_tags: ``archived`` hides it from lists, ``package``: the weights are a zip of
            several files.
        labels: name of a class → number.
        config_text: the network's description, of whatever form ``config_type`` says.
        iteration: of the script, when the weights were saved last.
        published: read-only for ever, and fit for others to begin with.
    """

    id: str
    name: str
    project: str
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
    created_at: float = 0.0
    updated_at: float = 0.0


@dataclass(frozen=True)
class ModelEvent:
    """One thing that happened to a model, who did it and by which request."""

    seq: int
    at: float
    model_id: str
    event: str
    by: str
    request_id: str = ""
    details: dict[str, Any] = field(default_factory=dict[str, Any])
