"""Programs that a run starts belong to it: what they report and print is the same task's."""

import subprocess
import sys

from dray import Task

if len(sys.argv) > 1:
    task = Task.current_task()
    task.get_logger().report_scalar("by process", sys.argv[1], iteration=0, value=len(sys.argv[1]))
    print("child", sys.argv[1])
else:
    task = Task.init(project_name="examples/process", task_name="subprocesses")
    children = [subprocess.Popen([sys.executable, __file__, name]) for name in ("one", "three")]
    codes = [child.wait() for child in children]
    print("children ended with", codes)
