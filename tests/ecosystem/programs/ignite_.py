"""pytorch-ignite: engines with metrics, handlers and checkpoints."""

import tempfile

import torch
from ignite.engine import Events, create_supervised_evaluator, create_supervised_trainer
from ignite.handlers import Checkpoint, DiskSaver
from ignite.metrics import Accuracy, Loss, RunningAverage

from tests.ecosystem.report import report

torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 2))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
criterion = torch.nn.CrossEntropyLoss()
data = torch.utils.data.TensorDataset(torch.randn(80, 8), torch.randint(0, 2, (80,)))
loader = torch.utils.data.DataLoader(data, batch_size=16, shuffle=True)
trainer = create_supervised_trainer(model, optimizer, criterion)
evaluator = create_supervised_evaluator(
    model, metrics={"accuracy": Accuracy(), "loss": Loss(criterion)}
)
RunningAverage(output_transform=lambda out: out).attach(trainer, "average")
losses, evaluated = [], []
trainer.on(Events.ITERATION_COMPLETED)(lambda engine: losses.append(engine.state.output))


@trainer.on(Events.EPOCH_COMPLETED)
def evaluate(engine):
    evaluator.run(loader)
    evaluated.append(dict(evaluator.state.metrics))


saver = Checkpoint(
    {"model": model, "trainer": trainer}, DiskSaver(tempfile.mkdtemp(), create_dir=True)
)
trainer.add_event_handler(Events.EPOCH_COMPLETED, saver)
trainer.run(loader, max_epochs=4)
report(losses=losses, evaluated=evaluated, average=trainer.state.metrics["average"])
