"""A Hydra application: overrides are parameters, the composed configuration is kept as text."""

from dataclasses import dataclass, field
from typing import Any

import hydra
from hydra.core.config_store import ConfigStore
from omegaconf import MISSING

from dray import Task


@dataclass
class Config:
    defaults: list[Any] = field(default_factory=lambda: ["_self_", {"db": "mysql"}])
    lr: float = 0.1
    db: Any = MISSING


store = ConfigStore.instance()
store.store(name="config", node=Config)
store.store(group="db", name="mysql", node={"driver": "mysql", "user": "root"})
store.store(group="db", name="postgresql", node={"driver": "postgresql", "user": "admin"})


@hydra.main(config_path=None, config_name="config", version_base=None)
def main(config):
    task = Task.init(project_name="examples", task_name="hydra app")
    print("lr", config.lr, "database", config.db.driver, "user", config.db.user)
    task.get_logger().report_single_value("lr", config.lr)


if __name__ == "__main__":
    main()
