"""References to secrets: found on the node, told to installers, shown to nobody."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from dray.envbuilder.failures import redact
from dray.envbuilder.git.logins import git_logins
from dray.envbuilder.tools.secrets import Secrets, names_in, reveal
from dray.runtime import config
from dray.runtime.errors import PreparationFailed


async def test_a_secret_is_a_variable_of_the_agent_or_a_file_of_the_node(tmp_path: Path) -> None:
    folder = tmp_path / "dray" / "secrets"
    folder.mkdir(parents=True)
    (folder / "FILED").write_text("from-a-file\n")
    agent = {"XDG_CONFIG_HOME": str(tmp_path), "DRAY_SECRET_NAMED": "from-a-variable"}
    secrets = await reveal(["https://${NAMED}:${FILED}@h/", "${NAMED}"], agent)
    assert secrets.values == {"NAMED": "from-a-variable", "FILED": "from-a-file"}
    assert "from-a" not in repr(secrets)


async def test_a_missing_one_says_both_places(tmp_path: Path) -> None:
    with pytest.raises(PreparationFailed) as caught:
        await reveal(["${GONE}"], {"XDG_CONFIG_HOME": str(tmp_path)})
    assert "the variable DRAY_SECRET_GONE" in caught.value.message
    assert str(tmp_path / "dray" / "secrets" / "GONE") in caught.value.message


async def test_what_was_revealed_is_hidden_from_then_on() -> None:
    await reveal(["${DEEP}"], {"DRAY_SECRET_DEEP": "d33p/secret"})
    assert redact("saw d33p/secret and d33p%2Fsecret") == "saw *** and ***"


def test_only_references_are_names() -> None:
    assert names_in(["${ONE}/${TWO}", "${ONE} $THREE ${four} ${PROJECT_ROOT}"]) == ["ONE", "TWO"]


def test_values_are_encoded_as_urls_want_them() -> None:
    secrets = Secrets({"T": "a/b@c"})
    assert secrets.in_url("https://me:${T}@h/") == "https://me:a%2Fb%40c@h/"
    assert secrets.references("a @ https://${T}@h/a") == "a @ https://${DRAY_SECRET_T}@h/a"
    assert secrets.variables() == {"DRAY_SECRET_T": "a%2Fb%40c"}


async def test_git_is_told_a_login_for_that_host_alone_and_never_by_its_url() -> None:
    lines = ["a @ git+https://me:${T}@h.org/a@v1#subdirectory=x ; os_name == 'x'", "b"]
    plain, variables = await git_logins(lines, Secrets({"T": "s3cret"}), {"GIT_CONFIG_COUNT": "1"})
    assert plain == ["a @ git+https://h.org/a@v1#subdirectory=x ; os_name == 'x'", "b"]
    assert variables == {
        "GIT_CONFIG_COUNT": "2",
        "GIT_CONFIG_KEY_1": "http.https://h.org/.extraHeader",
        "GIT_CONFIG_VALUE_1": f"Authorization: Basic {base64.b64encode(b'me:s3cret').decode()}",
    }


async def test_no_git_login_needs_no_variable() -> None:
    lines = ["a @ git+https://h.org/a", "b @ git+ssh://git@h.org/b@v1"]
    assert await git_logins(lines, Secrets(), {}) == (lines, {})


async def test_a_host_that_the_node_has_a_token_for_is_asked_with_it_over_https(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DRAY_SECRET_GIT_H_ORG", "t0k3n")
    lines = ["a @ git+ssh://git@h.org/me/a.git@v1#subdirectory=x", "b @ git+https://h.org/b"]
    plain, variables = await git_logins(lines, Secrets(), {})
    assert plain == ["a @ git+https://h.org/me/a.git@v1#subdirectory=x", lines[1]]
    login = base64.b64encode(b"git:t0k3n").decode()
    assert variables["GIT_CONFIG_VALUE_0"] == f"Authorization: Basic {login}"


def test_a_nodes_secrets_are_no_settings() -> None:
    assert config.load(environ={"DRAY_SECRET_T": "x"}).warnings == []
