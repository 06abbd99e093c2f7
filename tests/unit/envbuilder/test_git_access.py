"""Private repositories: tokens over http, keys over ssh, and what is said without them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dray.envbuilder.git.options import GitOptions
from dray.runtime.execution import Execution
from dray.runtime.paths import NodePaths
from tests.unit.envbuilder.conftest import Log
from tests.unit.envbuilder.gitservers import (
    SshServer,
    WebServer,
    ssh_agent,
    ssh_server,
    web_server,
)
from tests.unit.envbuilder.repositories import Repository, fails, prepare

TOKEN = "tok/en+of-the-node"
SECRET = "DRAY_SECRET_GIT_127_0_0_1"


@pytest.fixture
def web(tmp_path: Path) -> Iterator[WebServer]:
    with web_server(tmp_path / "served") as server:
        yield server


@pytest.fixture
def ssh(tmp_path: Path) -> Iterator[SshServer]:
    with ssh_server(tmp_path / "sshd") as server:
        yield server


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user of the node who has configured nothing."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")
    for name in ("XDG_CONFIG_HOME", "GIT_ASKPASS", "SSH_AUTH_SOCK", "GIT_SSH_COMMAND"):
        monkeypatch.delenv(name, raising=False)
    return home


@pytest.fixture
def code(tmp_path: Path) -> Path:
    return tmp_path / "attempt" / "code"


@pytest.fixture
def private(web: WebServer) -> Repository:
    """A repository that asks who is there."""
    web.logins["private"] = f"git:{TOKEN}"
    return Repository(web.root / "private")


def everything_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


async def test_a_token_named_after_the_host_lets_in_and_is_kept_nowhere(
    web: WebServer,
    private: Repository,
    code: Path,
    node: NodePaths,
    log: Log,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither by a helper of the node, which git would tell to store what worked."""
    (home / ".gitconfig").write_text("[credential]\n\thelper = store\n")
    monkeypatch.setenv(SECRET, TOKEN)
    monkeypatch.setenv("GIT_TRACE_CURL", "1")
    monkeypatch.setenv("GIT_TRACE_REDACT", "0")
    head = private.commit(train__py="private\n")
    execution = Execution(repository=f"{web.url}/private", branch="main")
    assert (await prepare(execution, code, node, log)).commit == head
    assert (code / "train.py").read_text() == "private\n"
    kept = log.data + everything_in(node.root) + everything_in(code) + everything_in(home)
    assert TOKEN.encode() not in kept


async def test_a_token_is_in_a_file_of_the_node(
    web: WebServer, private: Repository, code: Path, node: NodePaths, log: Log, home: Path
) -> None:
    secrets = home / ".config" / "dray" / "secrets"
    secrets.mkdir(parents=True)
    (secrets / "GIT_127_0_0_1").write_text(f"me:{TOKEN}\n")
    web.logins["private"] = f"me:{TOKEN}"
    private.commit(train__py="")
    await prepare(Execution(repository=f"{web.url}/private"), code, node, log)


async def test_credentials_in_the_address_are_taken_out_of_it(
    web: WebServer,
    private: Repository,
    code: Path,
    node: NodePaths,
    log: Log,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    private.commit(train__py="")
    monkeypatch.setenv("DRAY_SECRET_MINE", TOKEN)
    for login in ("git:tok%2Fen%2Bof-the-node", "git:${MINE}"):
        address = web.url.replace("http://", f"http://{login}@")
        await prepare(Execution(repository=f"{address}/private"), code, node, log)
        assert f"{web.url}/private" in (code / ".git" / "config").read_text()
    assert TOKEN.encode() not in log.data + everything_in(node.root) + everything_in(code)


@pytest.mark.parametrize("way", ["netrc", "helper"])
async def test_what_the_nodes_git_knows_by_itself_is_used(
    web: WebServer,
    private: Repository,
    code: Path,
    node: NodePaths,
    log: Log,
    home: Path,
    way: str,
) -> None:
    private.commit(train__py="")
    if way == "netrc":
        (home / ".netrc").write_text(f"machine 127.0.0.1 login git password {TOKEN}\n")
    else:
        helper = f"!printf 'username=git\\\\npassword={TOKEN}\\\\n'"
        (home / ".gitconfig").write_text(f'[credential]\n\thelper = "{helper}"\n')
    await prepare(Execution(repository=f"{web.url}/private"), code, node, log)


async def test_without_credentials_it_is_said_what_to_set(
    web: WebServer, private: Repository, code: Path, node: NodePaths, log: Log
) -> None:
    private.commit(train__py="")
    error = await fails(Execution(repository=f"{web.url}/private"), code, node, log)
    assert f"set {SECRET} to a token" in str(error)
    assert "~/.netrc" in str(error)


async def test_a_secret_of_the_address_that_is_not_here_is_named(
    code: Path, node: NodePaths, log: Log
) -> None:
    execution = Execution(repository="https://me:${NOBODY_SET_IT}@git.example.org/x.git")
    assert "DRAY_SECRET_NOBODY_SET_IT" in str(await fails(execution, code, node, log))


async def test_refused_credentials_are_named_and_not_shown(
    web: WebServer,
    private: Repository,
    code: Path,
    node: NodePaths,
    log: Log,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    private.commit(train__py="")
    monkeypatch.setenv(SECRET, "an-old-token")
    error = await fails(Execution(repository=f"{web.url}/private"), code, node, log)
    assert f"refuses the credentials of {SECRET}" in str(error)
    assert "an-old-token" not in str(error) + str(error.details) + log.text


async def test_a_token_is_never_sent_unencrypted(
    code: Path, node: NodePaths, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRAY_SECRET_GIT_GIT_EXAMPLE_ORG", TOKEN)
    execution = Execution(repository="http://git.example.org/x.git")
    assert "unencrypted; use https" in str(await fails(execution, code, node, log))


async def test_private_submodules_come_with_the_credentials_and_mirrors_of_their_own(
    web: WebServer,
    private: Repository,
    code: Path,
    node: NodePaths,
    log: Log,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Beside it by a relative address, in a folder that is a submodule itself."""
    monkeypatch.setenv(SECRET, TOKEN)
    web.logins["library"] = web.logins["core"] = f"git:{TOKEN}"
    core, library = Repository(web.root / "core"), Repository(web.root / "library")
    library.commit(lib__py="")
    library.add_submodule("../core", "core", core.commit(core__py="x = 1\n"))
    private.commit(train__py="")
    private.add_submodule("../library.git", "vendor/lib", library.git("rev-parse", "HEAD").strip())
    head = private.git("rev-parse", "HEAD").strip()
    (web.root / "library.git").symlink_to(web.root / "library")
    execution = Execution(repository=f"{web.url}/private", commit=head)
    await prepare(execution, code, node, log)
    assert (code / "vendor" / "lib" / "core" / "core.py").read_text() == "x = 1\n"
    asked = len(web.requests)
    await prepare(execution, code, node, log)
    assert (code / "vendor" / "lib" / "core" / "core.py").read_text() == "x = 1\n"
    assert len(web.requests) == asked  # a second task asks nobody


async def test_a_key_lets_in_over_ssh(
    ssh: SshServer,
    tmp_path: Path,
    code: Path,
    node: NodePaths,
    log: Log,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    head = Repository(tmp_path / "over ssh").commit(train__py="ssh\n")
    monkeypatch.setenv("GIT_SSH_COMMAND", ssh.command())
    execution = Execution(repository=f"{ssh.url}{tmp_path}/over%20ssh", branch="main")
    assert (await prepare(execution, code, node, log)).commit == head
    assert (code / "train.py").read_text() == "ssh\n"


async def test_a_key_of_the_ssh_agent_lets_in(
    ssh: SshServer,
    tmp_path: Path,
    code: Path,
    node: NodePaths,
    log: Log,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With the ssh command of the node's own git configuration."""
    Repository(tmp_path / "named").commit(train__py="")
    command = ssh.command(with_key=False)
    (home / ".gitconfig").write_text(f'[core]\n\tsshCommand = "{command}"\n')
    execution = Execution(repository=f"{ssh.url}{tmp_path}/named")
    error = await fails(execution, code, node, log)
    assert "takes none of this node's ssh keys" in str(error)
    assert SECRET in str(error)
    with ssh_agent(ssh.key, tmp_path) as agent:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(agent))
        await prepare(execution, code, node, log)


async def test_a_host_that_nobody_knows_is_not_trusted(
    ssh: SshServer,
    tmp_path: Path,
    code: Path,
    node: NodePaths,
    log: Log,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Repository(tmp_path / "named").commit(train__py="")
    execution = Execution(repository=f"{ssh.url}{tmp_path}/named")
    nobody = tmp_path / "nobody"
    monkeypatch.setenv("GIT_SSH_COMMAND", ssh.command(known_hosts=nobody))
    error = await fails(execution, code, node, log)
    assert f"`ssh-keyscan -p {ssh.port} 127.0.0.1`" in str(error)
    another = (ssh.key.with_suffix(".pub")).read_text().split()[1]
    nobody.write_text(f"[127.0.0.1]:{ssh.port} ssh-ed25519 {another}\n")
    error = await fails(execution, code, node, log)
    assert "is not the one in this node's known_hosts" in str(error)


async def test_a_host_is_asked_as_the_node_says(
    web: WebServer,
    ssh: SshServer,
    private: Repository,
    code: Path,
    node: NodePaths,
    log: Log,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ssh to http with a token, and back with a key."""
    private.commit(train__py="")
    monkeypatch.setenv(SECRET, TOKEN)
    over_http = GitOptions(rules={"git.example.org": web.url})
    execution = Execution(repository="git@git.example.org:private")
    await prepare(execution, code, node, log, over_http)
    monkeypatch.delenv(SECRET)
    monkeypatch.setenv("GIT_SSH_COMMAND", ssh.command())
    over_ssh = GitOptions(rules={"git.example.org": f"{ssh.url}{web.root}"})
    execution = Execution(repository="https://git.example.org/private")
    await prepare(execution, code, node, log, over_ssh)
    assert f"fetching {ssh.url}{web.root}/private" in log.text
