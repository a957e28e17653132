"""A vision transformer whose patches come from convolutions."""

from __future__ import annotations

import pytest

import rushlight
from rushlight.vision.models.vision_transformer import ConvStemConfig, VisionTransformer


def test_a_stem_of_convolutions_takes_the_place_of_patches():
    rushlight.manual_seed(0)
    stem = [ConvStemConfig(8, 3, 2), ConvStemConfig(12, 3, 2)]
    net = VisionTransformer(16, 4, 1, 2, 8, 16, num_classes=3, conv_stem_configs=stem)
    assert list(net.conv_proj._modules) == ["conv_bn_relu_0", "conv_bn_relu_1", "conv_last"]
    assert net(rushlight.ones(2, 3, 16, 16)).shape == (2, 3)
    assert net.conv_proj.conv_last.bias.abs().sum().item() == 0.0


def test_a_stem_equals_torchvisions():
    torch = pytest.importorskip("torch")
    theirs = pytest.importorskip("torchvision.models.vision_transformer")
    made = []
    for lib, module in ((rushlight, None), (torch, theirs)):
        config = module.ConvStemConfig if module else ConvStemConfig
        kind = module.VisionTransformer if module else VisionTransformer
        lib.manual_seed(0)
        net = kind(16, 4, 1, 2, 8, 16, num_classes=3, conv_stem_configs=[config(8, 3, 4)])
        made.append({name: value.tolist() for name, value in net.state_dict().items()})
    assert made[0].keys() == made[1].keys()
    assert made[0]["conv_proj.conv_last.weight"] == made[1]["conv_proj.conv_last.weight"]
