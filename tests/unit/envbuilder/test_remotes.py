"""Addresses of repositories, from host to host and from ssh to https."""

from __future__ import annotations

import pytest

from dray.envbuilder.git.credentials import access_to, secret_name
from dray.envbuilder.git.failures import why_unreachable
from dray.envbuilder.git.remotes import read_remote, read_rules, relative_to, rewritten
from dray.envbuilder.tools.surroundings import agent_variables, child_variables
from dray.runtime.errors import InvalidInput, PreparationFailed

AZURE_SSH = "git@ssh.dev.azure.com:v3/org/project/repo"
AZURE_WEB = "https://dev.azure.com/org/project/_git/repo"


@pytest.mark.parametrize(
    ("address", "target", "expected"),
    [
        ("git@github.com:a/b.git", "https", "https://github.com/a/b.git"),
        ("ssh://git@git.example.org:2222/a/b.git", "https", "https://git.example.org/a/b.git"),
        ("https://github.com/a/b.git", "ssh", "ssh://git@github.com/a/b.git"),
        ("https://github.com/a/b.git", "https", "https://github.com/a/b.git"),
        ("git@gitlab.example.org:group/sub/sub/b.git", "https", None),
        (AZURE_SSH, "https", AZURE_WEB),
        (f"https://org@{AZURE_WEB[8:]}", "ssh", "ssh://git@ssh.dev.azure.com/v3/org/project/repo"),
        ("https://git.example.org/a/b", "ssh://me@git.example.org:2222", None),
        ("git@git.example.org:a/b", "https://git.example.org:8443/git", None),
        ("/srv/git/b.git", "https", "/srv/git/b.git"),
        ("file:///srv/git/b.git", "ssh", "file:///srv/git/b.git"),
    ],
)
def test_an_address_is_turned_to_another_protocol(
    address: str, target: str, expected: str | None
) -> None:
    others = {
        "git@gitlab.example.org:group/sub/sub/b.git": "https://gitlab.example.org/group/sub/sub/b.git",
        "https://git.example.org/a/b": "ssh://me@git.example.org:2222/a/b",
        "git@git.example.org:a/b": "https://git.example.org:8443/git/a/b",
    }
    assert rewritten(read_remote(address), target).url == (expected or others[address])


@pytest.mark.parametrize(
    ("parent", "url", "expected"),
    [
        ("https://h/group/app.git", "../lib.git", "https://h/group/lib.git"),
        ("git@host:group/app.git", "../../other/lib", "git@host:other/lib"),
        ("https://h/group/app", "./lib", "https://h/group/app/lib"),
        ("/srv/app", "../lib", "/srv/lib"),
        ("https://h/app", "git@other:lib", "git@other:lib"),
    ],
)
def test_a_submodule_is_found_from_its_parent(parent: str, url: str, expected: str) -> None:
    assert relative_to(read_remote(parent), url).url == expected


def test_a_submodule_cannot_climb_past_its_host() -> None:
    with pytest.raises(InvalidInput, match="leads out of"):
        relative_to(read_remote("https://h/app"), "../../../lib")


def test_no_address_shows_its_password() -> None:
    remote = read_remote("https://me:se%40cret@h:8443/a/b.git")
    assert (remote.user, remote.password, remote.port) == ("me", "se@cret", "8443")
    assert remote.url == "https://h:8443/a/b.git"
    assert "se@cret" not in repr(remote)


def test_rules_are_read_and_wrong_ones_named() -> None:
    rules = read_rules("github.com=https, Git.example.org = ssh://git@git.example.org:2222")
    assert rules == {
        "github.com": "https",
        "git.example.org": "ssh://git@git.example.org:2222",
    }
    assert read_rules("") == {}
    for wrong in ("github.com", "github.com=ftp", "=https"):
        with pytest.raises(InvalidInput, match="git_rewrite"):
            read_rules(wrong)


def test_a_host_that_has_a_token_is_asked_over_https() -> None:
    """Unless a rule says ssh: a token is set to be used."""
    secrets = {"GIT_SSH_DEV_AZURE_COM": "x", "GIT_GITHUB_COM": "ada:t0ken"}
    remote = read_remote("git@github.com:a/b.git")
    access = access_to(remote, {}, lambda name: secrets.get(name, ""))
    assert access.remote.url == "https://github.com/a/b.git"
    assert access.variables["DRAY_GIT_USER"] == "ada"
    assert access.origin == "DRAY_SECRET_GIT_GITHUB_COM"
    assert "t0ken" not in repr(access)
    kept = access_to(remote, {"github.com": "ssh"}, lambda name: secrets.get(name, ""))
    assert (kept.remote.url, dict(kept.variables)) == ("git@github.com:a/b.git", {})
    assert secret_name(read_remote(AZURE_SSH)) == "GIT_DEV_AZURE_COM"


def test_the_variables_of_clearml_count_for_their_host(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("HOST", "git.example.org"), ("USER", "bot"), ("PASS", "clearml-token")):
        monkeypatch.setenv(f"CLEARML_AGENT_GIT_{name}", value)
    ours = access_to(read_remote("git@git.example.org:a/b"), {}, lambda _: "")
    assert ours.remote.url == "https://git.example.org/a/b"
    assert ours.variables["DRAY_GIT_TOKEN"] == "clearml-token"
    assert "clearml-token" not in child_variables(agent_variables()).values()
    others = access_to(read_remote("https://evil.example.org/a/b"), {}, lambda _: "")
    assert "clearml-token" not in others.variables.values()


def test_a_secret_can_only_stand_for_a_login() -> None:
    remote = read_remote("https://${HOST}/a/b")
    with pytest.raises(PreparationFailed, match="for nothing else"):
        access_to(remote, {}, lambda _: "x")


@pytest.mark.parametrize(
    ("said", "way_out"),
    [
        ("fatal: could not read Username for 'https://h'", "set DRAY_SECRET_GIT_H to a token"),
        ("fatal: write error: No space left on device", "`dray env prune`"),
        ("SSL certificate problem: self-signed certificate", "GIT_SSL_CAINFO"),
        ("fatal: unable to access: Could not resolve host: h", "does not find h"),
        ("remote: Repository not found.\nfatal: repository 'https://h/' not found", "private one"),
        ("error: cannot run ssh: No such file or directory", "ssh is not installed"),
        ("fatal: something new", "could not be fetched"),
    ],
)
def test_what_git_says_becomes_what_to_do(said: str, way_out: str) -> None:
    access = access_to(read_remote("https://h/a/b"), {}, lambda _: "")
    assert way_out in why_unreachable(access, said)
