"""PyTorch: checkpoints are output models, what TensorBoard's writer writes is recorded."""

import torch
from torch.utils.tensorboard import SummaryWriter

from dray import Task

task = Task.init(project_name="examples/frameworks", task_name="torch")
torch.manual_seed(0)
inputs = torch.randn(64, 4)
targets = inputs.sum(dim=1, keepdim=True)
model = torch.nn.Linear(4, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
with SummaryWriter("runs") as writer:
    for epoch in range(5):
        loss = torch.nn.functional.mse_loss(model(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        writer.add_scalar("loss/train", loss.item(), epoch)
        torch.save(model.state_dict(), "checkpoint.pt")
    writer.add_histogram("weights/linear", model.weight, 4)
model.load_state_dict(torch.load("checkpoint.pt"))
torch.jit.trace(model, inputs).save("scripted.pt")
print("loss", loss.item())
