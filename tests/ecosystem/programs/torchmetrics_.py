"""torchmetrics: metrics of classes, numbers, images and text, in collections."""

import torch
import torchmetrics
from torchmetrics.classification import (
    MulticlassAccuracy,
    MulticlassAUROC,
    MulticlassConfusionMatrix,
    MulticlassF1Score,
)
from torchmetrics.image import PeakSignalNoiseRatio, StructuralSimilarityIndexMeasure
from torchmetrics.regression import PearsonCorrCoef, R2Score, SpearmanCorrCoef

from tests.ecosystem.report import report

torch.manual_seed(0)
collection = torchmetrics.MetricCollection(
    [
        MulticlassAccuracy(5),
        MulticlassF1Score(5),
        MulticlassAUROC(5),
        MulticlassConfusionMatrix(5),
    ]
)
for _ in range(20):
    collection.update(torch.randn(32, 5).softmax(-1), torch.randint(0, 5, (32,)))
numbers = torchmetrics.MetricCollection([R2Score(), PearsonCorrCoef(), SpearmanCorrCoef()])
for _ in range(5):
    x = torch.randn(50)
    numbers.update(x + 0.1 * torch.randn(50), x)
images, other = torch.rand(2, 3, 32, 32), torch.rand(2, 3, 32, 32)
report(
    classes=collection.compute(),
    numbers=numbers.compute(),
    psnr=PeakSignalNoiseRatio(data_range=1.0)(images, other),
    ssim=StructuralSimilarityIndexMeasure(data_range=1.0)(images, other),
    words=torchmetrics.text.WordErrorRate()(["a b c"], ["a x c"]),
)
