"""Training loops of PyTorch: workers that read data, and ranks that ``torchrun`` starts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.frameworks.conftest import INIT, Recorded, Run

#: Two ranks that add up a number, each reporting and printing what is its own.
RANKS = (
    INIT
    + """\
import torch
import torch.distributed as dist

dist.init_process_group("gloo")
rank = dist.get_rank()
total = torch.tensor([float(rank + 1)])
dist.all_reduce(total)
task.get_logger().report_scalar("total", f"rank {rank}", float(total), rank)
print(f"rank {rank} of {dist.get_world_size()} is in {task.id}")
if rank == 0:
    torch.save({"total": total}, "total.pt")
dist.destroy_process_group()
"""
)


def test_a_training_loop_whose_workers_read_the_data(run: Run) -> None:
    made = run(
        INIT
        + """\
import torch
from torch.utils.data import DataLoader, Dataset
from torch.utils.tensorboard import SummaryWriter

class Digits(Dataset):
    def __len__(self):
        return 256
    def __getitem__(self, number):
        return torch.full((1, 28, 28), number / 256), number % 10

if __name__ == "__main__":
    model = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(2704, 10)
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2)
    writer = SummaryWriter("runs")
    step = 0
    for epoch in range(2):
        for images, labels in DataLoader(Digits(), batch_size=32, num_workers=2, shuffle=True):
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(images), labels)
            loss.backward()
            optimizer.step()
            writer.add_scalar("loss/train", loss.item(), step)
            writer.add_scalar("rate", 0.2, step)
            step += 1
        torch.save(model.state_dict(), "digits.pt")
    writer.close()
    print("trained for", step)
"""
    )
    assert made.out.endswith("trained for 16\n")
    assert made.series == {("loss", "train"), ("rate", "rate")}
    assert [r["i"] for r in made.of("scalar") if r["title"] == "loss"] == list(range(16))
    assert {r["v"] for r in made.of("scalar") if r["title"] == "rate"} == {0.2}
    assert set(made.models("output")) == {"digits"}
    assert [r["exit_code"] for r in made.of("final")] == [0]


def test_the_ranks_of_torchrun_share_one_task(
    folder: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    (folder / "ranks.py").write_text(RANKS)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    done = subprocess.run(
        [*torchrun, "--nproc_per_node=2", "ranks.py"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,  # the machine may be busy with others
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (spool,) = (tmp_path / "home" / "spools").iterdir()
    made = Recorded(done.stdout, done.stderr, spool)
    assert {(r["series"], r["v"]) for r in made.of("scalar")} == {("rank 0", 3), ("rank 1", 3)}
    kept = (spool / "stdout.log").read_text()
    for rank in range(2):
        assert f"rank {rank} of 2 is in {spool.name}" in kept
    assert made.models("output") == ["total"]
    assert [r["exit_code"] for r in made.of("final")] == [0]
