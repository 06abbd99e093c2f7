"""A Hydra application: overrides are parameters, the composed configuration is kept as text."""

import hydra
from omegaconf import DictConfig

from dray import Task


@hydra.main(config_path="config", config_name="config", version_base=None)
def main(config: DictConfig) -> None:
    task = Task.init(project_name="examples", task_name="hydra app")
    print("lr", config.lr, "database", config.db.driver, "user", config.db.user)
    task.get_logger().report_single_value("lr", config.lr)


if __name__ == "__main__":
    main()
