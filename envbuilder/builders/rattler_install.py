"""Make a conda environment with py-rattler: a script of its own, run where py-rattler is.

``python rattler_install.py REQUEST``, where the file REQUEST has ``prefix``, ``channels``,
``specs`` or ``explicit`` as JSON. It imports nothing of Dray.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import rattler


async def make(request: dict[str, Any]) -> None:
    """Solve, or take what is locked, then download, verify and link."""
    client = rattler.Client.authenticated_client()
    if request["explicit"]:
        records = [_locked(line) for line in request["explicit"]]
    else:
        records = await rattler.solve(
            [rattler.Channel(name) for name in request["channels"]],
            [rattler.MatchSpec(spec) for spec in request["specs"]],
            gateway=rattler.Gateway(client=client),
            platforms=[request["subdir"], "noarch"],
            add_pip_as_python_dependency=True,  # as conda and micromamba do
            virtual_packages=rattler.VirtualPackage.detect(),
        )
    for record in records:
        print(f"  {record.name.normalized} {record.version} {record.build}", flush=True)
    await rattler.install(
        records,
        request["prefix"],
        show_progress=False,
        execute_link_scripts=True,
        client=client,
    )


def _locked(line: str) -> rattler.RepoDataRecord:
    """The package of one line of an explicit list: a URL, and its hash behind ``#``."""
    url, _, digest = line.partition("#")
    channel, subdir, file_name = url.rsplit("/", 2)
    name, version, build = _stem(file_name).rsplit("-", 2)
    digest = digest.removeprefix("sha256:")
    record = rattler.PackageRecord(
        name=name,
        version=version,
        build=rattler.BuildString(build),
        build_number=0,
        subdir=subdir,
        md5=bytes.fromhex(digest) if len(digest) == 32 else None,
        sha256=bytes.fromhex(digest) if len(digest) == 64 else None,
    )
    return rattler.RepoDataRecord(record, file_name, url, channel)


def _stem(file_name: str) -> str:
    for ending in (".conda", ".tar.bz2"):
        if file_name.endswith(ending):
            return file_name.removesuffix(ending)
    raise ValueError(f"{file_name} is no conda package: it ends neither in .conda nor in .tar.bz2")


if __name__ == "__main__":
    code = 0
    try:
        asyncio.run(make(json.loads(Path(sys.argv[1]).read_text("utf-8"))))
    except Exception as exc:
        print(f"{type(exc).__name__}: {exc}", file=sys.stderr)
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    # Its threads may outlive the loop, and crash an interpreter that takes itself apart.
    os._exit(code)
