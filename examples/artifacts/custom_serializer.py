"""Any object with a serializer of its own: its bytes by one function, the object by another."""

import json
from dataclasses import asdict, dataclass

from dray import Task


@dataclass
class Schedule:
    """An object Dray knows nothing of."""

    rate: float
    steps: list


def to_bytes(schedule: Schedule) -> bytes:
    """The object as bytes."""
    return json.dumps(asdict(schedule)).encode()


def from_bytes(data: bytes) -> Schedule:
    """The object again."""
    return Schedule(**json.loads(data))


task = Task.init(project_name="examples/artifacts", task_name="custom serializer")
task.upload_artifact(
    "schedule",
    Schedule(0.1, [10, 20]),
    extension_name=".schedule",
    serialization_function=to_bytes,
)
print(task.artifacts["schedule"].get(deserialization_function=from_bytes))
