"""monai: a small U-Net learns to segment volumes; transforms, sliding windows, metrics."""

import numpy as np
import torch
from monai.data import DataLoader, Dataset
from monai.inferers import sliding_window_inference
from monai.losses import DiceCELoss, DiceLoss, FocalLoss
from monai.metrics import DiceMetric
from monai.networks.nets import UNet
from monai.transforms import (
    Compose,
    EnsureChannelFirstd,
    RandFlipd,
    RandGaussianNoised,
    RandRotate90d,
    ScaleIntensityd,
)
from monai.utils import set_determinism

from tests.ecosystem.report import report

set_determinism(0)
drawn = np.random.RandomState(0)
items = []
for _ in range(4):
    image = drawn.rand(16, 16, 16).astype(np.float32)
    items.append({"image": image, "label": (image > 0.6).astype(np.float32)})
keys = ["image", "label"]
steps = Compose([
    EnsureChannelFirstd(keys, channel_dim="no_channel"), ScaleIntensityd("image"),
    RandFlipd(keys, prob=0.5, spatial_axis=0), RandRotate90d(keys, prob=0.5),
    RandGaussianNoised("image", prob=0.5),
]).set_random_state(1)  # fmt: skip
loader = DataLoader(Dataset(items, steps), batch_size=2)
model = UNet(3, 1, 2, channels=(4, 8), strides=(2,), num_res_units=1, norm="instance")
loss_of = DiceCELoss(to_onehot_y=True, softmax=True)
optimizer = torch.optim.Adam(model.parameters(), 1e-2)
losses = []
for _ in range(3):
    for batch in loader:
        loss = loss_of(model(batch["image"]), batch["label"])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
model.eval()
with torch.no_grad():
    whole = torch.as_tensor(items[0]["image"])[None, None]
    found = sliding_window_inference(whole, (12, 12, 12), 2, model, overlap=0.25)
metric = DiceMetric(include_background=False)
metric(found.argmax(1, keepdim=True), torch.as_tensor(items[0]["label"])[None, None])
report(
    losses=losses,
    whole=found.mean(),
    dice=metric.aggregate(),
    other=[DiceLoss(sigmoid=True)(found[:, :1], whole), FocalLoss()(found[:, :1], whole.round())],
)
