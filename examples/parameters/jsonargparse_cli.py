"""A command line of jsonargparse: nested dataclasses, types it checks itself."""

from dataclasses import dataclass, field

from jsonargparse import ArgumentParser

from dray import Task


@dataclass
class Optimizer:
    name: str = "adam"
    betas: list[float] = field(default_factory=lambda: [0.9, 0.99])


parser = ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
parser.add_argument("--limit", type=int | None, default=None)
parser.add_argument("--optimizer", type=Optimizer, default=Optimizer())

task = Task.init(project_name="examples", task_name="jsonargparse")
arguments = parser.parse_args()
print("lr", arguments.lr, "limit", arguments.limit)
print("optimizer", arguments.optimizer.name, arguments.optimizer.betas)
