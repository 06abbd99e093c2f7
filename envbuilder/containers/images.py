"""An image as Dray needs it: here, known from the inside, with the system packages of a task."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dray.envbuilder.containers.arguments import Mount
from dray.envbuilder.containers.bench import Bench, remove_quietly
from dray.envbuilder.containers.engine import LABEL_DERIVED, ContainerRun, ImageFacts
from dray.envbuilder.failures import environment_failed
from dray.envbuilder.tools import portrait
from dray.envbuilder.tools.interpreters import Interpreter
from dray.envbuilder.tools.locks import exclusive
from dray.envbuilder.tools.log import LogWriter, say
from dray.runtime.ids import new_id

#: Raised when what is asked of an image changes, so that what was written down is asked again.
_PROBE = 2
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]*(:[a-z0-9]+)?(=[A-Za-z0-9.+:~-]+)?")
#: Of images that say none, as engines have it.
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#: Where Pythons are besides the path: conda's, and those that were built from source.
_FOLDERS = ("/usr/local/bin", "/usr/bin", "/opt/conda/bin", "/opt/python/bin", "/opt/venv/bin")
#: Says which libc there is, then what each Python says of itself, one line each.
_ASK = """\
libc=$(ldd --version 2>&1 | head -n 1)
for file in /lib/ld-musl-*; do if [ -e "$file" ]; then libc="musl"; fi; done
echo "libc $libc"
seen=:
IFS=:
for folder in $PATH:{folders}; do
    for python in "$folder"/python3 "$folder"/python3.[0-9] "$folder"/python3.[0-9][0-9]; do
        if [ -x "$python" ]; then
            case "$seen" in *":$python:"*) continue ;; esac
            seen="$seen$python:"
            "$python" -I -S {portrait} 2>/dev/null
        fi
    done
done
:
"""
_INSTALL = """\
set -e
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "$@"
rm -rf /var/lib/apt/lists/*
"""


@dataclass(frozen=True)
class Image:
    """An image on this node.

    Attributes:
        reference: as the task names it.
        id: of its content, system packages included.
        run: how the engine runs exactly this.
        digest: by which a registry has it.
        variables: that it sets.
        libc: such as ``glibc-2.36`` or ``musl``.
        pythons: what is installed in it, the first on its path first.
    """

    reference: str
    id: str
    run: str
    digest: str
    variables: Mapping[str, str]
    libc: str
    pythons: tuple[Interpreter, ...]

    @property
    def has_glibc(self) -> bool:
        """Whether programs for ordinary Linux run in it, such as uv."""
        return self.libc.startswith("glibc")


async def ready_image(
    bench: Bench, reference: str, pull: str, packages: list[str], log: LogWriter
) -> Image:
    """The image ``reference`` with Debian ``packages`` installed, pulled and derived if need be.

    Args:
        pull: ``always``, ``missing`` or ``never``.

    Raises:
        PreparationFailed: it cannot be had, or is not one that tasks can run in.
    """
    await bench.engine.check()
    facts = await _pulled(bench, reference, pull, log)
    if packages:
        facts = await _with_packages(bench, reference, facts, packages, log)
    known = await _inside(bench, facts)
    return Image(
        reference=reference,
        id=facts.id,
        run=facts.run,
        digest=facts.digest,
        variables={"PATH": _PATH, **facts.variables},
        libc=known.libc,
        pythons=known.pythons,
    )


async def _pulled(bench: Bench, reference: str, pull: str, log: LogWriter) -> ImageFacts:
    facts = None if pull == "always" else await bench.engine.image(reference)
    if facts is None and pull == "never":
        raise environment_failed(
            f"the image {reference!r} is not on this node, and the task says --pull=never",
            field="execution.container.image",
            value=reference,
        )
    if facts is None:
        name = hashlib.sha256(reference.encode()).hexdigest()[:24]
        lock = bench.node.locks / f"image-{name}.lock"
        async with exclusive(lock, lambda: say(log, "another task is pulling this image")):
            facts = None if pull == "always" else await bench.engine.image(reference)
            if facts is None:
                say(log, f"pulling image {reference}")
                await bench.engine.pull(reference, log)
                facts = await bench.engine.image(reference)
    if facts is None:
        raise environment_failed(
            f"{bench.engine.name} pulled {reference!r} and does not have it; see its own log",
            field="execution.container.image",
            value=reference,
        )
    return facts


async def _with_packages(
    bench: Bench, reference: str, base: ImageFacts, packages: list[str], log: LogWriter
) -> ImageFacts:
    names = sorted({name.strip() for name in packages if name.strip()})
    for name in names:
        if not _PACKAGE.fullmatch(name):
            raise environment_failed(
                f"execution.system_packages: {name!r} is no name of a Debian package",
                field="execution.system_packages",
                value=name,
            )
    key = hashlib.sha256(json.dumps([base.id, names]).encode()).hexdigest()[:24]
    tag = f"dray-derived:{key}"
    lock = bench.node.locks / f"image-{key}.lock"
    waiting = "another task is installing these system packages; waiting for it"
    async with exclusive(lock, lambda: say(log, waiting)):
        facts = await bench.engine.image(tag)
        if facts is None:
            say(log, f"installing system packages into {reference}: {' '.join(names)}")
            await _derive(bench, base, names, tag, {LABEL_DERIVED: key}, log)
            facts = await bench.engine.image(tag)
    if facts is None:
        raise environment_failed(f"{bench.engine.name} does not have the image {tag} it just made")
    await asyncio.to_thread(note_use, bench, key)
    return facts


async def _derive(
    bench: Bench,
    base: ImageFacts,
    names: list[str],
    tag: str,
    labels: Mapping[str, str],
    log: LogWriter,
) -> None:
    container = f"dray-apt-{new_id()[:12]}"
    job = ContainerRun(container, base.run, Path(), is_root=True, kept=True)
    try:
        finished = await bench.run(
            job,
            ["/bin/sh", "-c", _INSTALL, "sh", *names],
            env=base.variables,
            cwd=Path("/"),
            log=log,
        )
        if finished.code != 0:
            raise environment_failed(
                f"the system packages {' '.join(names)} could not be installed in the image (exit "
                f"code {finished.code}); its last lines say why",
                finished.tail,
                field="execution.system_packages",
            )
        say(log, "keeping the image for other tasks")
        await bench.engine.commit(container, tag, labels)
    finally:
        await remove_quietly(bench.engine, container)


def note_use(bench: Bench, key: str) -> None:
    """Note that a derived image is used now; see ``sweep``."""
    mark = bench.node.containers / "derived" / key
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.touch()
    os.utime(mark, (time.time(), time.time()))


@dataclass(frozen=True)
class _Inside:
    libc: str
    pythons: tuple[Interpreter, ...]


async def _inside(bench: Bench, facts: ImageFacts) -> _Inside:
    """What the image has, asked once: the same id is the same content."""
    name = f"{facts.id.replace(':', '-')}.{_PROBE}.json"
    file = bench.node.containers / "images" / name
    try:
        return _read(json.loads(await asyncio.to_thread(file.read_text, "utf-8")))
    except (OSError, ValueError, KeyError, TypeError):
        found = await _ask_inside(bench, facts)
        await asyncio.to_thread(_write, file, found)
        return found


async def _ask_inside(bench: Bench, facts: ImageFacts) -> _Inside:
    asker = str(portrait.__file__)
    job = ContainerRun("", facts.run, Path(), mounts=(Mount(asker, asker),))
    script = _ASK.format(folders=":".join(_FOLDERS), portrait=f"'{asker}'")
    finished = await bench.run(
        job, ["/bin/sh", "-c", script], env={}, cwd=Path("/"), keep_stdout=True
    )
    if finished.code != 0:
        raise environment_failed(
            f"cannot tell what is in the image (exit code {finished.code})", finished.tail
        )
    libc, pythons = "unknown", dict[Path, Interpreter]()
    for line in finished.stdout.splitlines():
        if line.startswith("libc "):
            libc = _libc(line.removeprefix("libc "))
        elif line.startswith("{"):
            found = _interpreter(json.loads(line))
            pythons.setdefault(found.path, found)
    return _Inside(libc, tuple(pythons.values()))


def _libc(said: str) -> str:
    """From the first line of ``ldd --version``."""
    if "musl" in said.lower():
        return "musl"
    numbers = re.findall(r"\d+\.\d+", said)
    return f"glibc-{numbers[-1]}" if numbers else "unknown"


def _interpreter(facts: dict[str, Any]) -> Interpreter:
    rest = {name: value for name, value in facts.items() if name != "path"}
    return Interpreter(path=Path(facts["path"]), **rest)


def _read(facts: dict[str, Any]) -> _Inside:
    return _Inside(str(facts["libc"]), tuple(_interpreter(each) for each in facts["pythons"]))


def _write(file: Path, found: _Inside) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    aside = file.with_name(f".{new_id()[:12]}")
    aside.write_text(json.dumps(asdict(found), default=str), "utf-8")
    aside.replace(file)
