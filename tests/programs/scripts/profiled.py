# Profile a small training loop, as PyTorch's recipe does, and print what the profile holds.
import json
import os
import tempfile

import torch
import torch.autograd.profiler as profiler
import torch.nn as nn
import torch.nn.functional as F
from torch.profiler import ProfilerActivity, profile, record_function, schedule, tensorboard_trace_handler


class Masked(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)

    def forward(self, x, mask):
        with profiler.record_function("LINEAR PASS"):
            out = self.linear(x)
        with profiler.record_function("MASK INDICES"):
            threshold = out.sum(dim=1).mean().item()
            indices = torch.argwhere(mask > threshold)
        return out, indices


WATCHED = ("LINEAR PASS", "MASK INDICES", "aten::linear", "ProfilerStep*",
           "Optimizer.step#SGD.step", "Optimizer.zero_grad#SGD.zero_grad")


def counts(averages):
    return {row.key: row.count for row in sorted(averages, key=lambda r: r.key) if row.key in WATCHED}


torch.manual_seed(0)
model = Masked(50, 10)
x, mask = torch.rand(12, 50), torch.rand(5, 5, 5)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)


def step():
    optimizer.zero_grad()
    out, indices = model(x, mask)
    loss = F.mse_loss(out, torch.ones_like(out))
    loss.backward()
    optimizer.step()
    return loss.item(), len(indices)


with profiler.profile(record_shapes=True) as prof:
    print("one step: %.4f %d" % step())
print(counts(prof.key_averages()))
shapes = [row.input_shapes for row in prof.key_averages(group_by_input_shape=True)
          if row.key == "aten::linear"]
print("linear", shapes)
table = prof.key_averages().table(sort_by="self_cpu_time_total", row_limit=5)
print(len(table.splitlines()), "Self CPU" in table, "CPU time avg" in table, "# of Calls" in table)
print("total", prof.self_cpu_time_total > 0, prof.total_average().key)

folder = tempfile.mkdtemp()
ready = []


def on_ready(p):
    ready.append(p.step_num)
    tensorboard_trace_handler(folder)(p)


with profile(
    activities=[ProfilerActivity.CPU],
    schedule=schedule(wait=1, warmup=1, active=2, repeat=2),
    on_trace_ready=on_ready,
) as prof:
    for i in range(9):
        with record_function("whole step"):
            step()
        prof.step()
print("ready", ready, len(os.listdir(folder)))
print(counts(prof.key_averages()))
for name in sorted(os.listdir(folder)):
    with open(os.path.join(folder, name)) as file:
        events = json.load(file)["traceEvents"]
    steps = sorted({e["name"] for e in events if e.get("name", "").startswith("ProfilerStep#")})
    print(steps)
children = {}
for event in prof.events():
    if event.name == "LINEAR PASS":
        children[event.cpu_parent.name] = children.get(event.cpu_parent.name, 0) + 1
print(children)
