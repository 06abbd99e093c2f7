"""Tokens: only who has the secret makes one, and each stands for one attempt."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dray.runtime import tokens
from dray.runtime.errors import StoreUnusable
from dray.runtime.tokens import TaskScope, mint_task_token, verify
from tests.disk import Disk

TASK = "ab" * 16


def test_a_token_stands_for_its_attempt() -> None:
    assert verify("secret", mint_task_token("secret", TASK, 3)) == TaskScope(TASK, 3)


def test_a_token_of_another_secret_stands_for_nothing() -> None:
    assert verify("secret", mint_task_token("other", TASK, 3)) is None


@pytest.mark.parametrize(
    "change",
    [
        lambda token: token.replace(".3.", ".4."),
        lambda token: token.replace("abab", "abac"),
        lambda token: token[:-1] + ("0" if token[-1] != "0" else "1"),
        lambda token: token + "0",
        lambda token: token.upper(),
        lambda token: token[:0],
        lambda token: token[:3],
        lambda token: token.replace(".3.", ".03."),
        lambda token: token + "\n",
        lambda token: token.replace(".3.", ".٣."),
    ],
)
def test_a_token_that_was_changed_stands_for_nothing(change: object) -> None:
    assert callable(change)
    assert verify("secret", change(mint_task_token("secret", TASK, 3))) is None


def test_the_servers_own_token_is_compared_whole() -> None:
    assert tokens.matches("secret", "secret")
    assert not tokens.matches("secret", "secre")
    assert not tokens.matches("secret", "sécret")


def test_a_token_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "home" / "token"
    token = tokens.read_or_create(path)
    assert tokens.read_or_create(path) == token
    assert len(token) >= 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in path.parent.iterdir()] == ["token"]


def test_a_token_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk, link = Disk(tmp_path, monkeypatch), os.link

    def look_and_link(aside: Path, path: Path) -> None:
        assert disk.has_bytes(aside), "an empty file under this name would be refused for ever"
        link(aside, path)

    monkeypatch.setattr(os, "link", look_and_link)
    tokens.read_or_create(tmp_path / "token")
    assert disk.has(tmp_path / "token")


def test_those_who_make_it_at_once_get_the_same(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(tokens.read_or_create, [tmp_path / "token"] * 16))
    assert len(set(made)) == 1


def test_a_token_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(StoreUnusable, match="empty"):
        tokens.read_or_create(tmp_path / "empty")
    with pytest.raises(StoreUnusable, match="cannot be read or made"):
        tokens.read_or_create(tmp_path / "empty" / "token")
