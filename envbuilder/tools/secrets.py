"""``${NAME}`` in an index or a requirement: a secret of the node, for the installer alone.

A task stores the reference, so nobody who reads the task, its key or its log reads the secret. The
value is the agent's variable ``DRAY_SECRET_NAME``, else the text of the file ``secrets/NAME``
beside the user's ``config.toml``. It reaches an installer by its environment, never by an
argument, which every user of a machine can list; a task's own process has none of these variables.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from dray.envbuilder.failures import environment_failed, never_show
from dray.envbuilder.tools.surroundings import agent_variables
from dray.runtime.config import SECRET_PREFIX, user_file

_REFERENCE = re.compile(r"\$\{(?P<name>[A-Z0-9_]+)\}")
#: What pip and uv themselves put in place of this name: the folder they run in.
PROJECT_ROOT = "PROJECT_ROOT"


@dataclass(frozen=True)
class Secrets:
    """Values by name; ``str()`` and ``repr()`` of it show none."""

    values: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)

    def in_url(self, url: str) -> str:
        """``url`` with its references filled in, encoded as a URL wants them."""
        return _REFERENCE.sub(lambda m: quote(self.values[m["name"]], safe=""), url)

    def in_text(self, text: str) -> str:
        """``text`` with its references filled in as they are."""
        return _REFERENCE.sub(lambda m: self.values[m["name"]], text)

    def variables(self) -> dict[str, str]:
        """For an installer that itself fills in :meth:`references` of a requirements file."""
        return {f"{SECRET_PREFIX}{name}": quote(v, safe="") for name, v in self.values.items()}

    def references(self, line: str) -> str:
        """``line`` with its references named as :meth:`variables` does, which clash with none."""
        return _REFERENCE.sub(lambda m: f"${{{SECRET_PREFIX}{m['name']}}}", line)


def names_in(texts: Iterable[str]) -> list[str]:
    """Names of the secrets that ``texts`` refer to, each once."""
    found = (match["name"] for text in texts for match in _REFERENCE.finditer(text))
    return [name for name in dict.fromkeys(found) if name != PROJECT_ROOT]


async def reveal(texts: Iterable[str], agent: Mapping[str, str] | None = None) -> Secrets:
    """The secrets that ``texts`` refer to; from now on no log and no message shows them.

    Args:
        texts: URLs and requirement lines.
        agent: variables of the agent; default: this process's.

    Raises:
        PreparationFailed: this node has no secret of that name; says what to set.
    """
    names = names_in(texts)
    if not names:
        return Secrets()
    variables = agent_variables() if agent is None else agent
    values = await asyncio.to_thread(lambda: {name: _value(name, variables) for name in names})
    for value in values.values():
        never_show(value, quote(value, safe=""))
    return Secrets(values)


def _value(name: str, agent: Mapping[str, str]) -> str:
    value = agent.get(f"{SECRET_PREFIX}{name}", "").strip()
    path = secrets_folder(agent) / name
    try:
        value = value or path.read_text("utf-8").strip()
    except FileNotFoundError:
        pass  # told below
    except (OSError, UnicodeDecodeError) as exc:
        raise environment_failed(f"the secret {name} cannot be read: {path}: {exc}") from exc
    if not value:
        raise environment_failed(
            f"the task refers to the secret ${{{name}}}, which this node does not have; set the "
            f"variable {SECRET_PREFIX}{name} where its agent is started, or write the value "
            f"into {path} there",
            field=f"{SECRET_PREFIX}{name}",
        )
    return value


def secrets_folder(agent: Mapping[str, str]) -> Path:
    """Where a node keeps its secrets, one file each; read anew whenever one is needed."""
    return user_file(agent).parent / "secrets"
