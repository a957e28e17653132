"""accelerate: prepare, accumulate, clip, save and load the state of a run."""

import tempfile

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed

from tests.ecosystem.report import report

set_seed(0)
accelerator = Accelerator(cpu=True, gradient_accumulation_steps=2)
model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 2))
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
data = torch.utils.data.TensorDataset(torch.randn(80, 8), torch.randint(0, 2, (80,)))
loader = torch.utils.data.DataLoader(data, batch_size=4, shuffle=True)
scheduler = torch.optim.lr_scheduler.LinearLR(optimizer, total_iters=20)
model, optimizer, loader, scheduler = accelerator.prepare(model, optimizer, loader, scheduler)
losses = []
for x, y in loader:
    with accelerator.accumulate(model):
        loss = torch.nn.functional.cross_entropy(model(x), y)
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()
    losses.append(loss.item())
folder = tempfile.mkdtemp()
accelerator.save_state(folder)
before = torch.rand(3)
accelerator.load_state(folder)
after = torch.rand(3)
gathered = accelerator.gather_for_metrics(torch.ones(3))
report(
    losses=losses,
    same_random_numbers=bool((before == after).all()),
    gathered=gathered,
    learning_rate=scheduler.get_last_lr(),
)
