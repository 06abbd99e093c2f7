"""Real engines for the tests: installed where they are missing, with an image made here."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.waiting import wait_until

#: Kept between runs: making it takes a minute and the network.
CACHED = Path(__file__).parents[2] / "build" / "test-docker" / "debian.tar"
IMAGE = "dray-test:debian"


def need(program: str, package: str) -> None:
    """Have a program of a Debian package; skips, saying why, where it cannot be had."""
    if shutil.which(program) is not None:
        return
    if os.getuid() != 0:
        pytest.skip(f"{program} is missing and only root can install the package {package}")
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "update", "-qq"], env=environ, capture_output=True)
    install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", package]
    installed = subprocess.run(install, env=environ, capture_output=True, text=True)
    if shutil.which(program) is None:
        pytest.skip(f"{program} is missing and {package} cannot be installed: {installed.stderr}")


@dataclass
class Dockerd:
    """A Docker engine of our own: its socket, its images, no network of its own."""

    folder: Path
    process: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def host(self) -> str:
        return f"unix://{self.folder}/docker.sock"

    @property
    def environ(self) -> dict[str, str]:
        return {**os.environ, "DOCKER_HOST": self.host}

    def docker(self, *arguments: str, check: bool = True) -> str:
        done = subprocess.run(
            ["docker", *arguments], env=self.environ, capture_output=True, text=True, timeout=120
        )
        assert not check or done.returncode == 0, done.stderr
        return done.stdout

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        folders = [f"--{name}-root={self.folder}/{name}" for name in ("data", "exec")]
        # No bridge and no rules of a firewall: a sandbox may have neither.
        network = ["--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false"]
        log = (self.folder / "log").open("ab")
        with log:
            self.process = subprocess.Popen(
                [
                    *["dockerd", f"--host={self.host}", f"--pidfile={self.folder}/pid"],
                    *[*folders, *network, "--userland-proxy=false"],
                ],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

        def answers() -> bool:
            assert self.process is not None
            text = (self.folder / "log").read_text(errors="replace")[-2000:]
            assert self.process.poll() is None, f"dockerd ended: {text}"
            asked = subprocess.run(["docker", "info"], env=self.environ, capture_output=True)
            return asked.returncode == 0

        wait_until(answers, timeout_s=60)

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(60)
            self.process = None

    def names(self, *options: str) -> list[str]:
        """Containers that are there, running or not."""
        return self.docker("ps", "--all", "--format", "{{.Names}}", *options).split()


@contextmanager
def dockerd(folder: Path) -> Iterator[Dockerd]:
    """A running engine that has the test image."""
    if os.getuid() != 0:
        pytest.skip("a Docker engine of its own needs root")
    need("dockerd", "docker.io")
    engine = Dockerd(folder)
    engine.start()
    try:
        engine.docker("import", str(root_file_system()), IMAGE)
        yield engine
    finally:
        for name in engine.names():
            engine.docker("rm", "--force", name, check=False)
        engine.stop()
        for mount in _mounts_below(folder):
            subprocess.run(["umount", "--lazy", mount], capture_output=True)
        shutil.rmtree(folder, ignore_errors=True)


def _mounts_below(folder: Path) -> list[str]:
    lines = Path("/proc/self/mounts").read_text().splitlines()
    return [path for line in lines if (path := line.split()[1]).startswith(str(folder))]


def root_file_system() -> Path:
    """A small Debian with a Python and apt, as a tar file."""
    if CACHED.exists():
        return CACHED
    need("debootstrap", "debootstrap")
    CACHED.parent.mkdir(parents=True, exist_ok=True)
    root = CACHED.parent / "root"
    shutil.rmtree(root, ignore_errors=True)
    began = time.monotonic()
    made = subprocess.run(
        [
            *["debootstrap", "--variant=minbase", "--include=python3", "bookworm", str(root)],
            "http://deb.debian.org/debian",
        ],
        capture_output=True,
        text=True,
        timeout=900,
    )
    if made.returncode != 0:
        pytest.skip(f"no Debian to make an image of: {made.stdout[-500:]}")
    for path in ("/etc/apt/apt.conf.d", "/etc/resolv.conf"):  # as this machine reaches the network
        if Path(path).is_file():
            shutil.copy(path, f"{root}{path}")
    aside = CACHED.with_suffix(".new")
    excluded = ["./var/cache/apt/archives/*", "./usr/share/doc/*", "./usr/share/locale/*"]
    excluded += ["./dev/*", "./proc/*", "./sys/*"]
    options = [f"--exclude={path}" for path in excluded]
    subprocess.run(["tar", "-C", str(root), *options, "-cf", str(aside), "."], check=True)
    aside.rename(CACHED)
    shutil.rmtree(root, ignore_errors=True)
    print(f"made {CACHED} in {time.monotonic() - began:.0f} s")
    return CACHED


def import_bare(engine: Dockerd, folder: Path, tag: str, files: dict[str, Path]) -> None:
    """An image of a few files, such as one without a shell."""
    archive = folder / "bare.tar"
    with tarfile.open(archive, "w") as tar:
        for name, path in files.items():
            tar.add(path.resolve(), arcname=name)
    engine.docker("import", str(archive), tag)
