"""captum: attributions by gradients, by occlusion, by layers."""

import numpy as np
import torch
from captum.attr import (
    DeepLift,
    FeatureAblation,
    GradientShap,
    GuidedBackprop,
    IntegratedGradients,
    LayerConductance,
    LayerGradCam,
    Occlusion,
    Saliency,
)

from tests.ecosystem.report import report

torch.manual_seed(0)
nn = torch.nn
model = nn.Sequential(
    nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(64, 3)
).eval()
x = torch.randn(2, 1, 8, 8, requires_grad=True)
found = {
    "integrated": IntegratedGradients(model).attribute(x, target=1, n_steps=10),
    "saliency": Saliency(model).attribute(x, target=1),
    "deeplift": DeepLift(model).attribute(x, target=1),
    "guided": GuidedBackprop(model).attribute(x, target=1),
    "ablation": FeatureAblation(model).attribute(
        x, target=1, feature_mask=torch.arange(64).reshape(1, 1, 8, 8) // 8
    ),
    "occlusion": Occlusion(model).attribute(x, (1, 3, 3), target=1, strides=(1, 2, 2)),
    "conductance": LayerConductance(model, model[0]).attribute(x, target=1, n_steps=5),
    "gradcam": LayerGradCam(model, model[0]).attribute(x, target=1),
}
torch.manual_seed(1)
np.random.seed(1)  # which weighs the baselines
found["shap"] = GradientShap(model).attribute(x, baselines=torch.zeros(4, 1, 8, 8), target=1)
report(**{name: value.abs().sum() for name, value in found.items()})
