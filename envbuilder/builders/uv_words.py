"""What uv's last lines mean to the user of a task: one sentence that says which and what to do."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from dray.envbuilder.spec import EnvironmentSpec
from dray.envbuilder.tools.secrets import names_in
from dray.runtime.config import SECRET_PREFIX

#: The solver's explanation grows with the conflict; the evidence has all of it.
_SENTENCE_LIMIT = 400
_REFUSED = re.compile(
    r"An index URL \((?P<hinted>[^)\s]+)\) could not be queried due to a lack of valid "
    r"authentication|\((?P<code>401|403) [A-Za-z]+\) for url \((?P<asked>[^)\s]+)\)"
)
_UNREACHED = re.compile(r"Failed to fetch: `?(?P<url>https?://[^`\s]+)`?")
_DAMAGED = (
    re.compile(r"structure of `(?P<name>[^`]+)` \(v(?P<version>[^)]+)\) was invalid"),
    re.compile(r"(?P<name>[\w.-]+)==(?P<version>\S+) has an invalid package format"),
    re.compile(
        r"Failed to (?:download|extract|unzip|read|install)[^`\n]*`(?P<name>[\w.-]+)=="
        r"(?P<version>[^`\s]+)`(?=[\s\S]*(?:[Zz]ip|CRC|invalid|archive|central directory))"
    ),
)
_TORCH_HOST = "download.pytorch.org"


def explained(tail: str, spec: EnvironmentSpec) -> str:
    """The first line of the failure whose last lines are ``tail``."""
    return (
        _refused(tail, spec)
        or _damaged(tail)
        or _hash(tail, spec)
        or _unsolvable(tail, spec)
        or _unbuilt(tail)
        or _git(tail)
        or _unreached(tail, spec)
        or _disk(tail)
        or f"uv could not install what {_asker(spec)} asks for; its last lines say why"
    )


def _asker(spec: EnvironmentSpec) -> str:
    return "the task" if spec.origin == "task" else spec.origin


def _refused(tail: str, spec: EnvironmentSpec) -> str:
    found = _REFUSED.search(tail)
    if found is None:
        return ""
    url = found["hinted"] or found["asked"]
    host = urlsplit(url).netloc
    texts = [*spec.index_urls, *spec.find_links, *spec.requirements]
    used = names_in(text for text in texts if host in text)
    if used:
        variables = " and ".join(f"{SECRET_PREFIX}{name}" for name in used)
        return (
            f"the index {url} refuses the credentials that it was given; check {variables} where "
            "the agent is started"
        )
    return (
        f"the index {url} wants credentials; write its URL as "
        f"{urlsplit(url).scheme}://user:${{INDEX_TOKEN}}@{host}{_path(spec, url)} and set "
        f"{SECRET_PREFIX}INDEX_TOKEN where the agent is started"
    )


def _path(spec: EnvironmentSpec, url: str) -> str:
    """The index's own path, where ``url`` is one of its files."""
    host = urlsplit(url).netloc
    known = (urlsplit(index) for index in spec.index_urls)
    return next((k.path for k in known if k.netloc.rpartition("@")[2] == host), urlsplit(url).path)


def _damaged(tail: str) -> str:
    found = next((match for pattern in _DAMAGED if (match := pattern.search(tail))), None)
    if found is None or "Hash mismatch" in tail:
        return ""
    return (
        f"the wheel of {found['name']} {found['version']} is damaged where it was taken from; have "
        "it uploaded again, or ask for another version"
    )


def _hash(tail: str, spec: EnvironmentSpec) -> str:
    found = re.search(r"Hash mismatch for `(?P<name>[^`]+)`", tail)
    if found is None:
        return ""
    return (
        f"{found['name']} is not the file that {_asker(spec)} names by its hash; lock it anew if "
        "the index is right, and do not trust the index if the hash is"
    )


def _unsolvable(tail: str, spec: EnvironmentSpec) -> str:
    found = re.search(r"No solution found[^\n]*\n\s*(?:cause:)?\s*(?P<why>[\s\S]*)", tail)
    if found is None:
        return ""
    why = " ".join(re.split(r"\n\s*\n|hint:", found["why"])[0].split())
    why = why if len(why) <= _SENTENCE_LIMIT else f"{why[:_SENTENCE_LIMIT]}…"
    return f"no set of packages is what {_asker(spec)} asks for: {why}"


def _unbuilt(tail: str) -> str:
    found = re.search(r"Failed to build `(?P<name>[^`]+)`", tail)
    if found is None:
        return ""
    name = re.sub(r"file://\S*/\.project/?", "./", found["name"])
    return (
        f"{name} is not to be had as a wheel and could not be built from source; the last lines "
        "are its build's own"
    )


def _git(tail: str) -> str:
    if "Git operation failed" not in tail and "failed to fetch" not in tail:
        return ""
    found = re.search(r"(?:clone|fetch)[^`\n]*`(?P<url>[^`]+)`|(?P<other>git\+\S+)", tail)
    where = (found["url"] or found["other"]) if found else "a git repository"
    return (
        f"{where} could not be fetched by git on this node; a private one is written as "
        f"git+https://${{GIT_TOKEN}}@host/…, with {SECRET_PREFIX}GIT_TOKEN set where the agent is "
        "started"
    )


def _unreached(tail: str, spec: EnvironmentSpec) -> str:
    found = _UNREACHED.search(tail)
    if found is None:
        return ""
    url = found["url"]
    host = urlsplit(url).netloc
    if host == _TORCH_HOST and spec.torch_backend:
        return (
            f"the builds of PyTorch for this node ({spec.torch_backend}) are at {host}, which does "
            "not answer; set the agent's torch_backend (DRAY_TORCH_BACKEND) or the task's to none "
            "to take those of the package indexes"
        )
    status = re.search(r"\((?P<code>[45]\d\d) [^)]*\) for url", tail)
    said = f"answers {status['code']}" if status else "does not answer"
    return f"{host} {said} for {url}, and the node's cache does not have it"


def _disk(tail: str) -> str:
    if "No space left on device" not in tail:
        return ""
    return "the disk of this node is full; free some, or have `dray env prune` remove environments"
