"""``.drayignore`` means what the same lines mean to git, and has the last word over it."""

from __future__ import annotations

import os
import random
import subprocess
from pathlib import Path

import pytest

from dray.sdk.capture import listing
from dray.sdk.capture.ignore import Rules, Verdicts
from tests.unit.sdk.repositories import Repository

#: What patterns are made of: all that has a meaning, and some that has none.
ATOMS = (
    *("a", "b", "ab", "*", "**", "***", "?", "/", "/", "/", ".", "#", " ", "\\ ", "\\*", "\\a"),
    *("\\!", "[ab]", "[!a]", "[^b]", "[a-c]", "[b-a]", "[a-]", "[]a]", "[\\]]", "[a\\-c]", "[--a]"),
    *("[[:alpha:]]", "[[:nonsense:]]", "[[a]", "[", "[a", "é", "-"),
)
NAMES = ("a", "b", "ab", "abc", "a b", "*", "é", "!a", "#a", "a.b", "]", "[", "-", " a", "a ")


def pattern(chance: random.Random) -> str:
    text = "".join(chance.choice(ATOMS) for _ in range(chance.randint(1, 5)))
    text = "!" * (chance.random() < 0.25) + "/" * (chance.random() < 0.2) + text
    return text + "/" * (chance.random() < 0.2)


@pytest.mark.parametrize("seed", range(40))
def test_patterns_mean_what_they_mean_to_git(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    chance = random.Random(seed)
    root = tree_of_names(tmp_path_factory)
    files = {p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file()}
    files = {name for name in files if not name.startswith(".git/") and ".rules" not in name}
    folders = sorted({name.rpartition("/")[0] for name in files} - {""})
    rules = {
        folder: "\n".join(pattern(chance) for _ in range(chance.randint(1, 5))).encode()
        for folder in ["", *chance.sample(folders, 2)]
    }
    own = f".rules{seed}"
    for folder, content in rules.items():
        (root / folder / own).write_bytes(content)
    command = ["git", "ls-files", "-z", "-o", f"--exclude-per-directory={own}"]
    listed = subprocess.run(command, cwd=root, check=True, capture_output=True).stdout
    kept = {os.fsdecode(name) for name in listed.split(b"\0")} & files
    verdicts = Verdicts(Rules(rules))
    assert {name for name in files if not verdicts.leaves_out(name)} == kept, rules


_trees: list[Path] = []


def tree_of_names(factory: pytest.TempPathFactory) -> Path:
    """A tree of some hundred odd names, made once."""
    if not _trees:
        chance, root = random.Random(0), Repository(factory.mktemp("names") / "tree").root
        for _ in range(120):
            path = root.joinpath(*chance.choices(NAMES, k=chance.randint(1, 4)))
            if not any(above.is_file() for above in path.parents) and not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
        _trees.append(root)
    return _trees[0]


def test_tracked_files_can_be_left_out_too(repository: Repository) -> None:
    repository.write(data__big_py="", data__small_py="")
    repository.commit()
    (repository.root / ".drayignore").write_text("data/*\n!data/small.py\n")
    assert sorted(listing.in_git(repository.root)) == [".drayignore", "data/small.py", "train.py"]


def test_a_line_with_a_path_brings_in_what_git_ignores(repository: Repository) -> None:
    (repository.root / ".gitignore").write_text("data/\n*.env\n")
    repository.write(data__small_py="", data__big_py="")
    (repository.root / "my.env").touch()
    (repository.root / ".drayignore").write_text("!/data/small.py\n!*.env\n")
    names = listing.in_git(repository.root)
    assert "data/small.py" in names
    assert "data/big.py" not in names
    assert "my.env" not in names  # a name alone only undoes what this file said


def test_a_folder_brought_in_comes_with_what_is_in_it(repository: Repository) -> None:
    (repository.root / ".gitignore").write_text("data/\n")
    repository.write(data__deep__one_py="", data__two_py="")
    (repository.root / ".drayignore").write_text("!/data/\n/data/two.py\n")
    names = listing.in_git(repository.root)
    assert "data/deep/one.py" in names
    assert "data/two.py" not in names


def test_rules_hold_across_the_border_of_a_submodule(repository: Repository) -> None:
    Repository(repository.root / "nested").write(inner_py="", tests__x_py="").commit()
    (repository.root / ".drayignore").write_text("tests/\n")
    names = listing.in_git(repository.root)
    assert "nested/inner.py" in names
    assert "nested/tests/x.py" not in names


def test_a_folder_outside_git_has_sensible_rules_of_its_own(tmp_path: Path) -> None:
    for name in (
        *("train.py", "config.yaml", "src/a.py", "src/__pycache__/a.pyc", ".env", ".cache/x"),
        *("venv/pyvenv.cfg", "venv/lib.py", "node_modules/x.js", "out/log.txt", "out/keep.txt"),
        ".streamlit/config.toml",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / ".gitignore").write_text("out/*.txt\n")
    (tmp_path / ".drayignore").write_text("!out/keep.txt\n!.streamlit\n")
    assert sorted(listing.in_folder(tmp_path)) == [
        ".drayignore",
        ".streamlit/config.toml",
        "config.yaml",
        "out/keep.txt",
        "src/a.py",
        "train.py",
    ]


def test_a_folder_goes_with_its_script_only_while_it_is_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("train.py", "config.yaml"):
        (tmp_path / name).write_text("x")
    assert listing.whole_if_small(tmp_path) == ["config.yaml", "train.py"]
    monkeypatch.setattr(listing, "FOLDER_LIMIT_FILES", 1)
    assert listing.whole_if_small(tmp_path) is None
    monkeypatch.setattr(listing, "FOLDER_LIMIT_FILES", 10)
    monkeypatch.setattr(listing, "FOLDER_LIMIT_BYTES", 1)
    assert listing.whole_if_small(tmp_path) is None


def test_a_home_folder_is_nobodys_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "train.py").touch()
    assert listing.whole_if_small(tmp_path) is None
