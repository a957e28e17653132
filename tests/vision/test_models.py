"""Networks have torchvision's parameters, names, first weights and outputs."""

from __future__ import annotations

import zlib

import numpy as np
import pytest

import rushlight
import rushlight.vision.models as ours

# Made by building torchvision's: how many parameters, and the sum of the names and shapes of the
# state.
STATES = [
    ("resnet18", 11689512, 3269535270),
    ("squeezenet1_1", 1235496, 967197338),
    ("mobilenet_v3_small", 2542856, 368922809),
    ("shufflenet_v2_x0_5", 1366792, 270297236),
    ("regnet_y_400mf", 4344144, 1882958281),
]


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize(("name", "parameters", "checksum"), STATES)
def test_the_state_has_torchvision_names_and_shapes(
    name: str, parameters: int, checksum: int
) -> None:
    model = ours.get_model(name)
    assert sum(p.numel() for p in model.parameters()) == parameters
    text = "\n".join(f"{k} {tuple(v.shape)}" for k, v in model.state_dict().items())
    assert zlib.crc32(text.encode()) == checksum


def test_weights_are_found_by_name() -> None:
    weights = ours.get_weight("ResNet50_Weights.IMAGENET1K_V2")
    assert weights is ours.ResNet50_Weights.DEFAULT
    assert weights.url.endswith("resnet50-11ad3fa6.pth")
    assert weights.meta["num_params"] == 25557032
    assert len(weights.meta["categories"]) == 1000
    image = rushlight.zeros(3, 300, 400, dtype=rushlight.uint8)
    assert weights.transforms()(image).shape == (3, 224, 224)


def test_models_are_listed_by_patterns() -> None:
    assert ours.list_models(include="resnet*") == [
        "resnet101", "resnet152", "resnet18", "resnet34", "resnet50",
    ]  # fmt: skip
    assert "fcn_resnet50" in ours.list_models()
    assert "fcn_resnet50" not in ours.list_models(module=ours)


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(ValueError, match="Unknown model resnet19"):
        ours.get_model("resnet19")


@pytest.mark.parametrize(
    "name", ["mobilenet_v3_small", "shufflenet_v2_x0_5", "regnet_y_400mf", "swin_t"]
)
def test_weights_and_outputs_equal_torchvision_by_seed(name: str) -> None:
    torch = pytest.importorskip("torch")
    theirs = pytest.importorskip("torchvision.models")
    torch.manual_seed(0)
    rushlight.manual_seed(0)
    expected, found = theirs.get_model(name).eval(), ours.get_model(name).eval()
    for (key, a), (other, b) in zip(expected.state_dict().items(), found.state_dict().items()):
        assert key == other
        assert np.array_equal(a.numpy(), b.numpy()), key
    image = np.random.default_rng(0).uniform(size=(1, 3, 64, 64)).astype("float32")
    with torch.no_grad(), rushlight.no_grad():
        wanted = expected(torch.from_numpy(image)).numpy()
        made = found(rushlight.from_numpy(image)).numpy()
    assert np.abs(made - wanted).max() <= 1e-5 * np.abs(wanted).max()
