"""One round of HyperQueue: ``hyperqueue_round.py N_TASKS N_CPUS PYTHON SCRIPT`` prints seconds."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
from __future__ import annotations

import sys
import time
from pathlib import Path

from hyperqueue import Job, LocalCluster
from hyperqueue.cluster import WorkerConfig

#: Waiting for a job looks once a second, so a last task that depends on all others notes the time.
_NOTE_TIME = "import sys, time; open(sys.argv[1], 'w').write(str(time.time()))"


def run(n_tasks: int, n_cpus: int, python: str, script: str) -> float:
    """Seconds from the submission until all tasks had ended."""
    note = Path("ended-at").absolute()
    with LocalCluster(worker_config=WorkerConfig(cores=n_cpus)) as cluster:
        client = cluster.client()
        job = Job()
        tasks = [job.program([python, script], stdout=None, stderr=None) for _ in range(n_tasks)]
        job.program([python, "-c", _NOTE_TIME, str(note)], deps=tasks, stdout=None, stderr=None)
        began = time.time()
        client.wait_for_jobs([client.submit(job)])
    return float(note.read_text("utf-8")) - began


if __name__ == "__main__":
    print(run(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]))
