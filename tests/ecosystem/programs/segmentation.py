"""segmentation-models-pytorch: networks with a ResNet inside, losses and scores."""

import segmentation_models_pytorch as smp
import torch

from tests.ecosystem.report import report

found = {}
for kind in (smp.Unet, smp.DeepLabV3Plus):
    torch.manual_seed(0)
    model = kind("resnet18", encoder_weights=None, classes=2).train()
    pictures, labels = torch.randn(2, 3, 64, 64), torch.randint(0, 2, (2, 64, 64))
    out = model(pictures)
    loss = smp.losses.DiceLoss("multiclass")(out, labels)
    loss = loss + smp.losses.FocalLoss("multiclass")(out, labels)
    loss.backward()
    found[kind.__name__] = [loss.item(), model.encoder.conv1.weight.grad.abs().mean().item()]
counts = smp.metrics.get_stats(
    torch.rand(2, 1, 8, 8), torch.randint(0, 2, (2, 1, 8, 8)), mode="binary", threshold=0.5
)
report(**found, score=smp.metrics.iou_score(*counts, reduction="micro"))
