"""A confusion matrix after each epoch, with names for its rows and columns."""

from dray import Task

task = Task.init(project_name="examples/reporting", task_name="confusion matrix")
names = ["cat", "dog"]
for epoch, matrix in enumerate([[[3, 2], [1, 4]], [[5, 0], [1, 4]]]):
    task.get_logger().report_confusion_matrix(
        "animals",
        "test set",
        matrix=matrix,
        iteration=epoch,
        xaxis="predicted",
        yaxis="true",
        xlabels=names,
        ylabels=names,
        yaxis_reversed=True,
        extra_layout={"texttemplate": "%{z} of 10"},
    )
