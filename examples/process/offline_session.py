"""Record without a server, then send what was recorded; a queue's run has a server anyway."""

from dray import Task

Task.set_offline(offline_mode=True)
task = Task.init(project_name="examples/process", task_name="offline session")
task.get_logger().report_scalar("loss", "train", iteration=3, value=0.25)
task.upload_artifact("settings", {"rate": 0.1})
folder = task.get_offline_mode_folder()
task.close()
Task.set_offline(offline_mode=False)
if folder is not None:
    print("sent as", Task.import_offline_session(folder))
