"""Which builds of PyTorch a node takes: those for its driver, where nobody says it."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Mapping
from functools import cache
from pathlib import Path

from dray.envbuilder.choice.projects import names_of
from dray.envbuilder.failures import environment_failed

#: Says that the package indexes decide, as for every other package.
NONE = "none"
#: What comes in builds of its own, and what brings it along.
FAMILY = frozenset(
    {
        *("torch", "torchvision", "torchaudio", "torchtext", "torchdata", "torchao", "torchcodec"),
        *("pytorch-triton", "triton", "torchmetrics", "torch-geometric", "torch-fidelity"),
        *("pytorch-lightning", "lightning", "lightning-fabric", "fastai", "timm", "kornia"),
        *("monai", "accelerate", "peft", "trl", "sentence-transformers", "open-clip-torch"),
        *("ultralytics", "bitsandbytes", "xformers", "vllm", "torchrl", "tensordict", "botorch"),
    }
)
_BACKEND = re.compile(r"cpu|xpu|cu\d{2,3}|rocm\d+(\.\d+){1,2}")
_PINNED_BUILD = re.compile(
    r"\s*(?:torch|torchvision|torchaudio)\s*={2,3}\s*[\w.]+\+(?P<build>[\w.]+)", re.IGNORECASE
)
#: Variables by which an operator names indexes: a mirror may have no builds by driver.
_INDEXES = (
    *("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL"),
    *("UV_FIND_LINKS", "UV_NO_INDEX", "UV_OFFLINE"),
)
#: Oldest driver for each generation of CUDA on Linux.
_DRIVERS = {13: (580,), 12: (525, 60, 13), 11: (450, 80, 2)}


def torch_backend(
    said: str, lines: Iterable[str], *, has_indexes: bool, node: Mapping[str, str], driver: str
) -> str:
    """Which builds to take for requirement ``lines``, as ``EnvironmentSpec`` has them.

    Args:
        said: by the task, its queue or its agent; empty: not said.
        has_indexes: whether the task names indexes of its own, which then decide.
        node: variables of the agent; its ``UV_TORCH_BACKEND`` counts as said.
        driver: version of the node's NVIDIA driver; empty: it has none.

    Raises:
        PreparationFailed: ``said`` is nothing that there is.
    """
    said = said or node.get("UV_TORCH_BACKEND", "")
    if said and said not in (NONE, "auto") and not _BACKEND.fullmatch(said):
        raise environment_failed(
            f"torch_backend is {said!r}; give cpu, a CUDA version such as cu128, rocm6.3, xpu, "
            "auto for what the node's driver runs, or none for what the package indexes have",
            field="execution.torch_backend",
            value=said,
        )
    wanted = list(lines)
    if said == NONE or FAMILY.isdisjoint(names_of(wanted)):
        return ""
    if said and said != "auto":
        return said
    if not said and (has_indexes or any(node.get(name) for name in _INDEXES)):
        return ""
    builds = [found["build"] for line in wanted if (found := _PINNED_BUILD.match(line))]
    if builds and _BACKEND.fullmatch(builds[0]):
        return builds[0]  # the requirement says which build, and no other has that version
    return f"auto:{driver}" if driver else _without_driver()


def for_manager(backend: str, manager: str) -> str:
    """``backend`` where ``manager`` can be told it; conda's and Poetry's own files say it."""
    return backend if manager in ("uv", "pip") else ""


def _without_driver() -> str:
    """For AMD's GPUs uv asks the node itself; no GPU, no CUDA."""
    return "auto" if os.path.exists("/dev/kfd") else "cpu"


def torch_variables(backend: str) -> dict[str, str]:
    """How uv is told."""
    if not backend:
        return {}
    name, _, driver = backend.partition(":")
    told = {"UV_TORCH_BACKEND": name}
    return {**told, "UV_CUDA_DRIVER_VERSION": driver} if driver else told


def extra_for(extras: Collection[str], said: str, driver: str) -> str:
    """Of a project's extras ``cpu``, ``cu126``, ``cu128`` …, the one for a node; empty: none fits.

    With a lock the lock decides what a build is, and its project's extras which one. ``said`` by
    the task, its queue or its agent is taken where there is an extra of that name.
    """
    if said in extras:
        return said
    able = newest_cuda(driver)
    fitting = [
        extra for extra in extras if re.fullmatch(r"cu\d{3}", extra) and _cuda(extra) <= able
    ]
    if fitting:
        return max(fitting, key=_cuda)
    return "cpu" if "cpu" in extras else ""


def _cuda(extra: str) -> int:
    return int(extra[2:])


def newest_cuda(driver: str) -> int:
    """Newest CUDA, as ``cu128`` counts it, that ``driver`` can run."""
    version = tuple(int(number) for number in re.findall(r"\d+", driver))
    generations = [cuda for cuda, oldest in _DRIVERS.items() if version >= oldest]
    return max(generations) * 10 + 9 if generations else 0


@cache
def driver_version() -> str:
    """Version of this node's NVIDIA driver; empty: it has none. Asked once a process."""
    for path, pattern in (
        ("/sys/module/nvidia/version", r"(\d+(?:\.\d+)+)"),
        ("/proc/driver/nvidia/version", r"Kernel Module.*?\s(\d+(?:\.\d+)+)"),
    ):
        try:
            found = re.search(pattern, Path(path).read_text("utf-8"))
        except OSError:
            continue  # no such driver, or not shown here
        if found:
            return found[1]
    return ""
