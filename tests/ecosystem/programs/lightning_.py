"""lightning: fit, checkpoint, resume, test."""

import logging
import tempfile

import lightning as L
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint

from tests.ecosystem.report import report

logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
L.seed_everything(0, verbose=False)
x = torch.randn(64, 8)
y = x.sum(1, keepdim=True)
folder = tempfile.mkdtemp()


class Regression(L.LightningModule):
    def __init__(self, width=16):
        super().__init__()
        self.save_hyperparameters()
        self.net = torch.nn.Sequential(
            torch.nn.Linear(8, width), torch.nn.Tanh(), torch.nn.Linear(width, 1)
        )
        self.losses = []

    def training_step(self, batch, index):
        loss = torch.nn.functional.mse_loss(self.net(batch[0]), batch[1])
        self.log("loss", loss)
        self.losses.append(loss.item())
        return loss

    def validation_step(self, batch, index):
        self.log("valid", torch.nn.functional.mse_loss(self.net(batch[0]), batch[1]))

    def test_step(self, batch, index):
        self.log("test", torch.nn.functional.mse_loss(self.net(batch[0]), batch[1]))

    def configure_optimizers(self):
        optimizer = torch.optim.Adam(self.parameters(), lr=1e-2)
        return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 2)]


def loader(shuffle=False):
    data = torch.utils.data.TensorDataset(x, y)
    return torch.utils.data.DataLoader(data, batch_size=16, shuffle=shuffle)


def trainer(epochs):
    saved = ModelCheckpoint(folder, monitor="valid", save_last=True)
    return L.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        gradient_clip_val=1.0,
        callbacks=[saved, EarlyStopping("valid", patience=50)],
    )


model = Regression()
trainer(5).fit(model, loader(shuffle=True), loader())
resumed = Regression()
again = trainer(8)
again.fit(resumed, loader(shuffle=True), loader(), ckpt_path=f"{folder}/last.ckpt")
tested = again.test(resumed, loader(), verbose=False)
loaded = Regression.load_from_checkpoint(f"{folder}/last.ckpt")
report(
    losses=model.losses,
    resumed=resumed.losses,
    tested=tested[0]["test"],
    loaded=loaded.net(x[:3]),
    epoch=again.current_epoch,
)
