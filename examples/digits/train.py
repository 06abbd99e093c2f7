"""Train a small network on handwritten digits, recorded by Dray.

python train.py                          runs here, recorded
python train.py --queue default          the same run, moved to a machine of the cluster
"""

from __future__ import annotations

import argparse

import numpy as np
from data import load_split
from sklearn.metrics import confusion_matrix, log_loss
from sklearn.neural_network import MLPClassifier

from dray import Task

RECIPE = "plain"


def main() -> None:
    """Train, report each epoch, keep the model."""
    task = Task.init(project_name="Examples/Digits", task_name="train digits")
    parser = argparse.ArgumentParser(description="Recognise handwritten digits.")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--lr", type=float, default=0.005)
    parser.add_argument("--hidden", type=int, default=32)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--queue", default="", help="move the run to this queue")
    args = parser.parse_args()
    if args.queue:
        task.execute_remotely(args.queue)  # here the run ends on the laptop and begins over there

    digits = load_split(args.seed)
    print(f"recipe {RECIPE}: {len(digits.images)} images, {args.epochs} epochs at lr {args.lr}")
    settings = {"batch_size": 32, "learning_rate_init": args.lr, "random_state": args.seed}
    model = MLPClassifier((args.hidden,), **settings)
    logger = task.get_logger()
    for epoch in range(1, args.epochs + 1):
        model.partial_fit(digits.images, digits.labels, classes=np.arange(10))
        loss = log_loss(digits.test_labels, model.predict_proba(digits.test_images))
        accuracy = model.score(digits.test_images, digits.test_labels)
        logger.report_scalar("loss", "test", value=loss, iteration=epoch)
        logger.report_scalar("accuracy", "test", value=accuracy, iteration=epoch)
        print(f"epoch {epoch}: loss {loss:.3f}, accuracy {accuracy:.3f}", flush=True)

    matrix = confusion_matrix(digits.test_labels, model.predict(digits.test_images))
    logger.report_confusion_matrix("digits", "test", matrix=matrix, iteration=args.epochs)
    logger.report_single_value("accuracy", accuracy)
    task.upload_artifact("model", model, auto_pickle=True)


if __name__ == "__main__":
    main()
