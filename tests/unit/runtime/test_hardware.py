"""Hardware samples: there with what there is, never an error."""

import os
import sys
import types
from typing import Any

import psutil
import pytest

from dray.runtime import hardware
from dray.runtime.hardware import GPU_TITLE, MACHINE_TITLE, Sampler, host_facts


class FakeNvml(types.ModuleType):
    """One GPU whose power sensor is broken, as NVML tells of it."""

    class NVMLError(Exception):
        pass

    NVML_TEMPERATURE_GPU = 0

    def __init__(self) -> None:
        super().__init__("pynvml")
        self.open = 0

    def nvmlInit(self) -> None:
        self.open += 1

    def nvmlShutdown(self) -> None:
        self.open -= 1

    def nvmlDeviceGetCount(self) -> int:
        return 2

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetUUID(self, handle: int) -> str:
        return f"GPU-{handle}abc-def"

    def nvmlDeviceGetName(self, _handle: int) -> bytes:
        return b"H100"

    def nvmlSystemGetDriverVersion(self) -> str:
        return "999.1"

    def nvmlSystemGetCudaDriverVersion(self) -> int:
        return 12040

    def nvmlDeviceGetUtilizationRates(self, handle: int) -> Any:
        return types.SimpleNamespace(gpu=40 + handle)

    def nvmlDeviceGetMemoryInfo(self, _handle: int) -> Any:
        return types.SimpleNamespace(used=2_000_000_000, total=8_000_000_000)

    def nvmlDeviceGetTemperature(self, _handle: int, _sensor: int) -> int:
        return 61

    def nvmlDeviceGetPowerUsage(self, _handle: int) -> int:
        raise self.NVMLError("Not Supported")


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> FakeNvml:
    fake = FakeNvml()
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    return fake


def test_the_machine_and_a_process_tree_are_measured() -> None:
    sample = Sampler(os.getpid()).sample()[MACHINE_TITLE]
    assert 0 <= sample["cpu_usage"] <= 100
    assert 0 < sample["memory_usage"] <= 100
    assert sample["process_memory_gb"] > 0.001
    assert {"process_cpu_usage", "network_rx_mbs", "disk_free_percent"} <= set(sample)


def test_a_process_that_is_gone_is_left_out() -> None:
    gone = max(psutil.pids()) + 100_000
    sample = Sampler(gone).sample()[MACHINE_TITLE]
    assert "process_memory_gb" not in sample
    assert "cpu_usage" in sample


def test_each_gpu_is_measured_by_what_it_has(nvml: FakeNvml) -> None:
    sampler = Sampler()
    sample = sampler.sample()[GPU_TITLE]
    assert sample["gpu_0_utilization"] == 40
    assert sample["gpu_1_mem_usage"] == 25
    assert sample["gpu_1_temperature"] == 61
    assert "gpu_0_power_w" not in sample
    sampler.close()
    assert nvml.open == 0
    assert GPU_TITLE not in sampler.sample()


@pytest.mark.parametrize(
    ("visible", "seen"), [(["1"], {"1"}), (["GPU-0abc"], {"0"}), ([], set()), (["MIG-x"], set())]
)
def test_only_visible_gpus_are_measured(nvml: FakeNvml, visible: list[str], seen: set[str]) -> None:
    sample = Sampler(gpus=visible).sample().get(GPU_TITLE, {})
    assert {name.split("_")[1] for name in sample} == seen


def test_without_a_gpu_or_its_library_there_is_no_gpu_title(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert GPU_TITLE not in Sampler().sample()
    assert "gpu" not in host_facts()


def test_without_psutil_there_is_nothing_and_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psutil", None)
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert Sampler(os.getpid()).sample() == {}


def test_a_measure_the_kernel_refuses_leaves_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> None:
        raise PermissionError("/proc/net/dev")

    monkeypatch.setattr(psutil, "net_io_counters", refused)
    sample = Sampler().sample()[MACHINE_TITLE]
    assert "network_rx_mbs" not in sample
    assert "cpu_usage" in sample


def test_host_facts_are_text_by_name(nvml: FakeNvml) -> None:
    facts = host_facts()
    assert facts["cpu_count"] == str(os.cpu_count())
    assert (facts["gpu"], facts["gpu_driver"]) == ("H100, H100", "999.1")
    assert {"hostname", "os", "python", "memory_gb"} <= set(facts)
    assert all(facts.values())


def test_the_version_of_cuda_is_the_drivers(nvml: FakeNvml) -> None:
    hardware.cuda_version.cache_clear()
    assert hardware.cuda_version() == "12.4"
    assert nvml.open == 0


def test_without_a_driver_there_is_no_version_of_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    hardware.cuda_version.cache_clear()
    assert hardware.cuda_version() == ""
