"""pytorch-forecasting: a temporal fusion transformer and N-BEATS learn series by lightning."""

import warnings

import lightning.pytorch as pl
import numpy as np
import pandas as pd
import torch
from pytorch_forecasting import NBeats, TemporalFusionTransformer, TimeSeriesDataSet
from pytorch_forecasting.metrics import QuantileLoss

from tests.ecosystem.report import report

warnings.simplefilter("ignore")
steps = np.arange(60)
table = pd.concat([
    pd.DataFrame({
        "time": steps, "group": str(k), "value": np.sin(steps / (3 + k)) + k, "price": steps % 7,
    })
    for k in range(3)
], ignore_index=True)  # fmt: skip
table["price"] = table["price"].astype(float)
common = {
    "time_idx": "time", "target": "value", "group_ids": ["group"], "max_encoder_length": 12,
    "max_prediction_length": 4,
}  # fmt: skip
found = {}


def trained(model, data):
    loader = data.to_dataloader(train=True, batch_size=16, num_workers=0)
    trainer = pl.Trainer(
        max_epochs=1, limit_train_batches=4, accelerator="cpu", logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        gradient_clip_val=0.1,
    )  # fmt: skip
    trainer.fit(model, loader)
    later = data.to_dataloader(train=False, batch_size=16, num_workers=0)
    batch = next(iter(later))[0]
    model.eval()
    with torch.no_grad():
        return float(trainer.callback_metrics["train_loss_step"]), model(batch)["prediction"][:2]


pl.seed_everything(0)
series = TimeSeriesDataSet(
    table, static_categoricals=["group"], time_varying_known_reals=["time", "price"],
    time_varying_unknown_reals=["value"], **common,
)  # fmt: skip
fusion = TemporalFusionTransformer.from_dataset(
    series, hidden_size=8, attention_head_size=2, dropout=0.1, hidden_continuous_size=4,
    loss=QuantileLoss(), learning_rate=0.01, optimizer="sgd", log_interval=-1,
)  # fmt: skip
found["fusion"] = trained(fusion, series)
plain = TimeSeriesDataSet(table, time_varying_unknown_reals=["value"], **common)
beats = NBeats.from_dataset(plain, learning_rate=1e-3, widths=[16, 32], optimizer="sgd")
found["beats"] = trained(beats, plain)
report(**found)
