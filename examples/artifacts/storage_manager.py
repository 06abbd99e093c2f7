"""StorageManager: files to an address and back, here a folder; `s3://` and the like need fsspec."""

import shutil
import tempfile
from pathlib import Path

from dray import StorageManager, Task

task = Task.init(project_name="examples/artifacts", task_name="storage manager")
work = Path(tempfile.mkdtemp())
store = f"file://{work}/store"

(work / "data" / "deep").mkdir(parents=True)
(work / "data" / "a.json").write_text('{"n": 1}')
(work / "data" / "deep" / "b.csv").write_text("1,2\n")

StorageManager.upload_folder(str(work / "data"), f"{store}/data")
StorageManager.upload_file(str(work / "data" / "a.json"), f"{store}/single.json")
names = StorageManager.list(f"{store}/data")
print("stored:", names)
print("size:", StorageManager.get_file_size_bytes(f"{store}/single.json"), "bytes")
print("is there:", StorageManager.exists_file(f"{store}/nothing.json"))

archive = shutil.make_archive(str(work / "packed"), "zip", work / "data")
unpacked = StorageManager.get_local_copy(archive)
print("unpacked:", sorted(path.name for path in Path(unpacked).rglob("*.*")))

back = StorageManager.download_folder(f"{store}/data", str(work / "back"), match_wildcard="*.csv")
fetched = [path.name for path in Path(back).rglob("*") if path.is_file()]
task.upload_artifact("found", {"names": names, "fetched": fetched})
