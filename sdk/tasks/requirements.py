"""The part of ``Task`` about what its run needs: packages and resources."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dray.sdk.light import TYPE_CHECKING
from dray.sdk.tasks.base import TaskBase

if TYPE_CHECKING:
    from typing import Any


class TaskRequirements(TaskBase):
    """Requirement lines and resources."""

    def set_packages(self, packages: str | Iterable[str]) -> None:
        """Have exactly these requirements, whatever was detected or the code has a lock for.

        Args:
            packages: requirement lines, or the path of a requirements file; empty for none.
        """
        from dray.sdk.capture.packages import lines_of

        self._handle.put_execution({"packages": lines_of(packages), "packages_from": "task"})

    def get_requirements(self) -> dict[str, str]:
        """Requirement lines of the task, as one text under ``pip``.

        Once an agent has run it: of everything that was installed; ``org_pip`` is what was asked
        for.
        """
        from dray.sdk.tasks.export import requirements_of

        attempt: dict[str, Any] = self._data.get("attempt") or {}
        environment: dict[str, Any] = attempt.get("environment") or {}
        return requirements_of(self.execution, environment.get("installed") or [])

    def set_resources(
        self,
        cpus: float | None = None,
        gpus: float | None = None,
        memory_gib: float | None = None,
        custom: Mapping[str, float] | None = None,
    ) -> None:
        """What the machine that runs the task must have; what is not given stays as it is.

        Args:
            cpus: logical CPUs.
            gpus: GPUs; a fraction below 1 shares one.
            memory_gib: memory to reserve.
            custom: other resources of the cluster by name.
        """
        given: dict[str, Any] = {
            "cpus": None if cpus is None else float(cpus),
            "gpus": None if gpus is None else float(gpus),
            "memory_bytes": None if memory_gib is None else int(memory_gib * 2**30),
            "custom": None if custom is None else dict(custom),
        }
        execution: dict[str, Any] = self._data.get("execution") or {}
        wanted = {name: value for name, value in given.items() if value is not None}
        standing: dict[str, Any] = execution.get("resources") or {}
        self._handle.put_execution({"resources": {**standing, **wanted}})
