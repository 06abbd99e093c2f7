"""Tables of rows, of a DataFrame and of a CSV file."""

from pathlib import Path

import pandas as pd

from dray import Task

task = Task.init("examples/reporting", "tables")
logger = task.get_logger()

rows = [["model", "accuracy"], ["small", 0.91], ["large", 0.95]]
logger.report_table("results", "rows", iteration=0, table_plot=rows)

frame = pd.DataFrame(
    {"legs": [2, 4, 8], "wings": [2.0, 0.0, float("nan")]}, index=["falcon", "dog", "spider"]
)
frame.index.name = "animal"
logger.report_table("results", "frame", 0, frame, extra_data={"columnwidth": [2, 1, 1]})

path = Path("results.csv")
path.write_text("name,n\nfirst,1\nsecond,2.5\n")
logger.report_table("results", "file", iteration=0, csv=str(path))
path.unlink()
