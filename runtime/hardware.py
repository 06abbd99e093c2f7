"""What a machine is doing: samples for charts and facts for the record; never an error."""

from __future__ import annotations

import logging
import os
import platform
import socket
from collections.abc import Sequence
from functools import cache
from typing import Any

log = logging.getLogger(__name__)

MACHINE_TITLE = ":monitor:machine"
GPU_TITLE = ":monitor:gpu"
_GB = 1e9
_MB = 1e6

#: title → series → value
Sample = dict[str, dict[str, float]]


class Sampler:
    """Measures the machine, one process tree and its GPUs; call it every few seconds.

    Rates and shares of time are those since the last call. What cannot be measured is left out:
    no GPU, no NVIDIA library, no ``psutil``, a process that is gone.

    Args:
        pid: root of the process tree to measure; None: the machine alone.
        gpus: indexes or UUIDs as in ``CUDA_VISIBLE_DEVICES``; None: every GPU.
    """

    def __init__(self, pid: int | None = None, gpus: Sequence[str] | None = None) -> None:
        self._pid = pid
        self._psutil = _import_psutil()
        #: {pid: process}; kept, because a process measures its time since it was last asked.
        self._tree: dict[int, Any] = {}
        self._counters: tuple[float, Any, Any] | None = None
        self._gpus = _Gpus(gpus)
        self.sample()  # the first rates of all are since now

    def sample(self) -> Sample:
        """Percentages, gigabytes, megabytes a second, degrees and watts, by title and series."""
        found: Sample = {MACHINE_TITLE: self._machine(), GPU_TITLE: self._gpus.sample()}
        return {title: series for title, series in found.items() if series}

    def close(self) -> None:
        """Let go of the GPU library."""
        self._gpus.close()

    def _machine(self) -> dict[str, float]:
        if self._psutil is None:
            return {}
        values: dict[str, float] = {}
        for measure in (self._usage, self._rates, self._process_tree):
            try:
                values.update(measure())
            except Exception as exc:  # psutil on odd machines raises whatever the kernel says
                log.debug("%s cannot be measured: %s", measure.__name__, exc)
        return values

    def _usage(self) -> dict[str, float]:
        memory = self._psutil.virtual_memory()
        return {
            "cpu_usage": self._psutil.cpu_percent(None),
            "memory_usage": memory.percent,
            "memory_used_gb": (memory.total - memory.available) / _GB,
            "disk_free_percent": 100.0 - self._psutil.disk_usage(os.getcwd()).percent,
        }

    def _rates(self) -> dict[str, float]:
        import time

        now = time.monotonic()
        network, disk = self._psutil.net_io_counters(), self._psutil.disk_io_counters()
        before, self._counters = self._counters, (now, network, disk)
        if before is None or now <= before[0]:
            return {}
        seconds = now - before[0]
        pairs = {
            "network_rx_mbs": (network, before[1], "bytes_recv"),
            "network_tx_mbs": (network, before[1], "bytes_sent"),
            "io_read_mbs": (disk, before[2], "read_bytes"),
            "io_write_mbs": (disk, before[2], "write_bytes"),
        }
        return {
            name: max(0.0, getattr(after, field) - getattr(earlier, field)) / _MB / seconds
            for name, (after, earlier, field) in pairs.items()
            if after is not None and earlier is not None
        }

    def _process_tree(self) -> dict[str, float]:
        if self._pid is None:
            return {}
        root = self._tree.get(self._pid) or self._psutil.Process(self._pid)
        there = {root.pid: root, **{p.pid: p for p in root.children(recursive=True)}}
        # An equal process is the one we know: psutil compares the start time too.
        self._tree = {
            pid: known if (known := self._tree.get(pid)) == process else process
            for pid, process in there.items()
        }
        cpu, memory = 0.0, 0
        for process in self._tree.values():
            try:
                cpu += process.cpu_percent(None)
                memory += process.memory_info().rss
            except self._psutil.Error:  # it has just ended, or is a zombie
                continue
        return {"process_cpu_usage": cpu, "process_memory_gb": memory / _GB}


class _Gpus:
    """NVIDIA GPUs through NVML; empty where there are none."""

    def __init__(self, wanted: Sequence[str] | None) -> None:
        self._nvml: Any = None
        self._handles: dict[str, Any] = {}
        try:
            import pynvml

            pynvml.nvmlInit()
            self._nvml = pynvml
            self._handles = self._find(wanted)
        except Exception as exc:  # no package, no driver, no permission: all mean no GPU here
            log.debug("no GPU is measured: %s", exc)

    def _find(self, wanted: Sequence[str] | None) -> dict[str, Any]:
        nvml = self._nvml
        every = [nvml.nvmlDeviceGetHandleByIndex(i) for i in range(nvml.nvmlDeviceGetCount())]
        names = {str(i): handle for i, handle in enumerate(every)}
        if wanted is None:
            return names
        uuids = {_text(nvml.nvmlDeviceGetUUID(handle)): i for i, handle in names.items()}
        chosen = [
            i for text in wanted for uuid, i in uuids.items() if text == i or _fits(uuid, text)
        ]
        return {i: names[i] for i in chosen}

    def sample(self) -> dict[str, float]:
        values: dict[str, float] = {}
        for index, handle in self._handles.items():
            for measure in (self._utilization, self._memory, self._temperature, self._power):
                try:
                    values.update({f"gpu_{index}_{k}": v for k, v in measure(handle).items()})
                except self._nvml.NVMLError as exc:  # some cards lack some sensors
                    log.debug("GPU %s %s: %s", index, measure.__name__, exc)
        return values

    def facts(self) -> dict[str, str]:
        if not self._handles:
            return {}
        names = [_text(self._nvml.nvmlDeviceGetName(handle)) for handle in self._handles.values()]
        return {
            "gpu": ", ".join(names),
            "gpu_driver": _text(self._nvml.nvmlSystemGetDriverVersion()),
        }

    def cuda_version(self) -> str:
        if self._nvml is None:
            return ""
        try:
            number = int(self._nvml.nvmlSystemGetCudaDriverVersion())
        except Exception as exc:  # a library older than the call, a driver that has gone
            log.debug("the version of CUDA is not known: %s", exc)
            return ""
        return f"{number // 1000}.{number % 1000 // 10}"

    def close(self) -> None:
        nvml, self._nvml, self._handles = self._nvml, None, {}
        if nvml is not None:
            nvml.nvmlShutdown()

    def _utilization(self, handle: Any) -> dict[str, float]:
        return {"utilization": float(self._nvml.nvmlDeviceGetUtilizationRates(handle).gpu)}

    def _memory(self, handle: Any) -> dict[str, float]:
        memory = self._nvml.nvmlDeviceGetMemoryInfo(handle)
        return {"mem_usage": 100.0 * memory.used / memory.total, "mem_used_gb": memory.used / _GB}

    def _temperature(self, handle: Any) -> dict[str, float]:
        celsius = self._nvml.nvmlDeviceGetTemperature(handle, self._nvml.NVML_TEMPERATURE_GPU)
        return {"temperature": float(celsius)}

    def _power(self, handle: Any) -> dict[str, float]:
        return {"power_w": self._nvml.nvmlDeviceGetPowerUsage(handle) / 1000.0}


@cache
def cuda_version() -> str:
    """The CUDA that this machine's NVIDIA driver speaks, such as ``12.4``; empty: it has none.

    Asked once a process, for it takes a moment where there are many GPUs.
    """
    gpus = _Gpus(None)
    try:
        return gpus.cuda_version()
    finally:
        gpus.close()


def host_facts() -> dict[str, str]:
    """Host, system, python, CPUs, memory, GPUs and driver; what is not known is left out."""
    facts = {
        "hostname": socket.gethostname(),
        "os": platform.platform(),
        "python": platform.python_version(),
        "cpu_count": str(os.cpu_count() or ""),
        "cpu": platform.processor() or platform.machine(),
    }
    psutil, gpus = _import_psutil(), _Gpus(None)
    try:
        facts.update(gpus.facts())
        if psutil is not None:
            facts["memory_gb"] = f"{psutil.virtual_memory().total / _GB:.1f}"
    except Exception as exc:  # NVML without a working card behind it, a sealed /proc
        log.debug("some facts are not known: %s", exc)
    finally:
        gpus.close()
    return {name: value for name, value in facts.items() if value}


def _import_psutil() -> Any:
    try:
        import psutil
    except ImportError:
        return None
    return psutil


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _fits(uuid: str, text: str) -> bool:
    # CUDA takes any unique beginning of `GPU-8932f937-…`.
    return text.startswith("GPU-") and uuid.startswith(text)
