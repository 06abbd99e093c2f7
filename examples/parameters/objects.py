"""Parameters in objects: a class, a dataclass and a pydantic model."""

from dataclasses import dataclass, field

from pydantic import BaseModel, Field

from dray import Task


class Paths:
    data = "data/train"
    workers = 2


@dataclass
class Optimizer:
    lr: float = 0.1
    nesterov: bool = False


@dataclass
class Training:
    epochs: int = 3
    optimizer: Optimizer = field(default_factory=Optimizer)


class Network(BaseModel):
    width: int = Field(default=16, ge=1, description="neurons of a layer")
    activation: str = "relu"


task = Task.init(project_name="examples", task_name="objects of parameters")
task.connect(Paths, name="Paths")
training = task.connect(Training(), name="Training")
network = task.connect(Network(), name="Network")

print("paths", Paths.data, Paths.workers)
print("training", training.epochs, training.optimizer.lr, training.optimizer.nesterov)
print("network", network.width, network.activation)
