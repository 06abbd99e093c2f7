"""What the demo runs: the digits example in a fresh repository, edited as a user would."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dray.runtime.errors import DrayError, InvalidInput

if TYPE_CHECKING:
    from dray.sdk.client import Client

#: Changes made to ``train.py`` after the commit: old text, new text.
EDITS = (
    ("from data import load_split", "from augmented import load_split"),
    ('RECIPE = "plain"', 'RECIPE = "shifted"'),
)
#: A file the edited script imports and git does not know.
NEW_FILE = "augmented.py"
NEW_FILE_TEXT = '''\
"""The digits and copies of them moved by one pixel: an experiment that nobody committed yet."""

import numpy as np
from data import Digits
from data import load_split as load_plain


def load_split(seed: int) -> Digits:
    """The plain split with twice the images to train on."""
    digits = load_plain(seed)
    moved = np.roll(digits.images.reshape(-1, 8, 8), 1, axis=2).reshape(-1, 64)
    images = np.concatenate([digits.images, moved])
    return digits._replace(images=images, labels=np.tile(digits.labels, 2))
'''
#: What a run prints when it had both.
MARK = "recipe shifted: 2694 images"


@dataclass(frozen=True)
class DemoCode:
    """The working tree of the demo and the environment of its user.

    Attributes:
        python: interpreter of an environment that has scikit-learn and Dray.
        commit: what is committed; the edits are not.
    """

    root: Path
    python: Path
    commit: str


def make(folder: Path) -> DemoCode:
    """Lay out the example in ``folder``, commit it, edit it, and make its environment.

    Raises:
        DrayError: git or uv is missing, or failed.
    """
    root = folder / "digits"
    shutil.copytree(
        example_folder(), root, ignore=shutil.ignore_patterns("__init__.py", "__pycache__")
    )
    git = ["git", "-C", str(root), "-c", "user.name=Dray", "-c", "user.email=demo@localhost"]
    _run([*git, "init", "--quiet"])
    _run([*git, "add", "."])
    _run([*git, "commit", "--quiet", "--no-gpg-sign", "--message", "Recognise digits"])
    edit(root)
    commit = _run([*git, "rev-parse", "HEAD"]).strip()
    return DemoCode(root, _make_environment(folder / "environment"), commit)


def example_folder() -> Path:
    """The digits example, in a checkout and in an installed Dray alike."""
    return package_folder() / "examples" / "digits"


def package_folder() -> Path:
    """Where this Dray is imported from."""
    import dray

    return Path(str(dray.__file__)).parent


def edit(root: Path) -> None:
    """Change the script and add a file, and commit neither.

    Raises:
        InvalidInput: the script is not the one these edits were written for.
    """
    script = root / "train.py"
    text = script.read_text("utf-8")
    for old, new in EDITS:
        if text.count(old) != 1:
            raise InvalidInput(f"{script}: expected {old!r} once", field="train.py")
        text = text.replace(old, new)
    script.write_text(text, "utf-8")
    (root / NEW_FILE).write_text(NEW_FILE_TEXT, "utf-8")


def _make_environment(folder: Path) -> Path:
    """An environment as a user has one: scikit-learn, and what ``pip install dray`` brings."""
    from importlib.metadata import requires

    needs = [line for line in requires("dray") or () if "extra ==" not in line]
    uv = [sys.executable, "-m", "uv", "--quiet"]
    _run([*uv, "venv", "--python", sys.executable, str(folder)])
    python = folder / "bin" / "python"
    _run([*uv, "pip", "install", "--python", str(python), "scikit-learn", *needs])
    # This very Dray, checkout or installed, without building it.
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "dray").symlink_to(package_folder(), target_is_directory=True)
    return python


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except FileNotFoundError as exc:
        raise InvalidInput(f"the demo needs {command[0]}; install it", field="command") from exc
    except subprocess.CalledProcessError as exc:
        tail = exc.stderr.strip()[-2000:]
        raise DrayError(f"{' '.join(command)} failed with code {exc.returncode}: {tail}") from exc
    return done.stdout


def environment_variables(client: Client) -> dict[str, str]:
    """Those of this process, with the server the demo talks to."""
    # A virtual environment around this process would be the script's otherwise.
    inherited = {k: v for k, v in os.environ.items() if k not in ("VIRTUAL_ENV", "PYTHONPATH")}
    return {**inherited, "DRAY_URL": client.url, "DRAY_TOKEN": client.token}
