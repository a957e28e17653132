"""What each side does with a network: builds it by seed, and gives it images.

In: the side's `torch` and `torchvision`, a network's name.  Out: a dict of arrays and strings.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

DETECTION = ("rcnn", "retinanet", "fcos", "ssd")
# Networks whose positions are learned for one size of image.
FIXED = ("vit_", "maxvit", "mvit")
LAST = ("cls_logits", "cls_score", "module_list")
SURE = 3.0


def _images(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(size=shape).astype("float32")


def _arrays(value: Any, name: str = "out") -> dict[str, np.ndarray]:
    if isinstance(value, dict):
        found = {}
        for key, part in value.items():
            found |= _arrays(part, f"{name}.{key}")
        return found
    if isinstance(value, (list, tuple)):
        found = {}
        for i, part in enumerate(value):
            found |= _arrays(part, f"{name}.{i}")
        return found
    return {name: value.detach().numpy()}


def state(model: Any) -> dict[str, str]:
    """The names, shapes and bits of a network's weights."""
    shapes, bits = hashlib.sha256(), hashlib.sha256()
    for key, value in model.state_dict().items():
        shapes.update(f"{key} {tuple(value.shape)}\n".encode())
        bits.update(np.ascontiguousarray(value.detach().numpy()).tobytes())
    return {"names": shapes.hexdigest(), "weights": bits.hexdigest()}


def _options(name: str) -> dict[str, Any]:
    if name.startswith(("googlenet", "inception", "quantized_googlenet", "quantized_inception")):
        return {"init_weights": True}
    if any(kind in name for kind in DETECTION):
        # Networks that have learned nothing are sure of nothing: keep what they say anyway.
        options: dict[str, Any] = {"weights_backbone": None}
        if "rcnn" in name:
            return options | {"box_score_thresh": 0.0, "min_size": 128, "max_size": 160}
        small = {} if "ssd" in name else {"min_size": 128, "max_size": 160}
        return options | {"score_thresh": 0.0, **small}
    if name.startswith(("fcn", "deeplab", "lraspp")):
        return {"weights_backbone": None}
    return {}


def _targets(torch: Any, name: str) -> list[dict[str, Any]]:
    rng = np.random.default_rng(5)
    found = []
    for height, width in ((90, 120), (110, 100)):
        start = rng.uniform(0, 50, (3, 2))
        boxes = np.concatenate([start, start + rng.uniform(15, 40, (3, 2))], 1).astype("float32")
        labels = np.ones(3, np.int64) if "keypoint" in name else np.array([3, 7, 3])
        masks = np.zeros((3, height, width), np.uint8)
        for mask, (x1, y1, x2, y2) in zip(masks, boxes.astype(int)):
            mask[y1:y2, x1 : (x1 + x2) // 2 + 1] = 1
        points = np.zeros((3, 17, 3), np.float32)
        points[:, :, :2] = boxes[:, None, :2] + rng.uniform(1, 14, (3, 17, 2))
        points[:, :, 2] = rng.integers(0, 2, (3, 17))
        target = {"boxes": boxes, "labels": labels, "masks": masks}
        if "keypoint" in name:
            target = {"boxes": boxes, "labels": labels, "keypoints": points}
        found.append({key: torch.from_numpy(value) for key, value in target.items()})
    return found


def _settle(torch: Any, model: Any, images: Any, targets: Any) -> None:
    """Make a network that has learned nothing one whose results do not hang on rounding.

    Normalizations take the statistics of the images and keep them; the last layers are made
    surer.
    """
    norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    model.train()
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        model(images, targets)
        rng = np.random.default_rng(11)
        for key, value in model.state_dict().items():
            if key.endswith("weight") and any(part in key for part in LAST):
                drawn = rng.normal(size=value.shape) / np.sqrt(np.prod(value.shape[1:]))
                value.copy_(torch.from_numpy((SURE * drawn).astype("float32")).to(value.dtype))
    for norm in norms:
        norm.eval()


def _gradients(torch: Any, model: Any, images: Any, targets: Any) -> dict[str, np.ndarray]:
    """Losses, and gradients of vectors, of a network that has settled."""
    torch.manual_seed(4)
    losses = model(images, targets)
    sum(losses[key] for key in sorted(losses)).backward()
    found = _arrays({key: losses[key] for key in sorted(losses)}, "loss")
    return found | {
        "grad." + key: parameter.grad.numpy()
        for key, parameter in model.named_parameters()
        if parameter.grad is not None and parameter.ndim == 1
    }


def _detection(torch: Any, model: Any, name: str) -> dict[str, np.ndarray]:
    """Boxes found in float32; losses and gradients in float64.

    What a network learns from is drawn among its own proposals: where rounding makes one proposal
    more or less, all that is drawn is other.  So whatever trains does so in float64.  So do key
    points: heads that have learned nothing make tenths of a heat of hundredths of a pixel.
    """
    images = [torch.from_numpy(_images(3, 90, 120)), torch.from_numpy(_images(3, 110, 100, seed=1))]
    wide = [image.double() for image in images]
    targets = _targets(torch, name)
    for target in targets:
        target["boxes"] = target["boxes"].double()
    _settle(torch, model.double(), wide, targets)
    found = _gradients(torch, model, wide, targets)
    model.eval()
    with torch.no_grad():
        results = model(wide) if "keypoint" in name else model.float()(images)
    for i, result in enumerate(results):
        found |= _arrays({key: result[key] for key in sorted(result)}, f"result.{i}")
    return found


def inputs(name: str) -> list[np.ndarray]:
    """The images, videos or pairs of images that a network is given."""
    if name.startswith("raft"):
        return [_images(1, 3, 128, 144) * 2 - 1, _images(1, 3, 128, 144, seed=1) * 2 - 1]
    if name.startswith(("mvit", "s3d")):
        return [_images(1, 3, 16, 224, 224)]
    if name.startswith(("r3d", "mc3", "r2plus1d", "swin3d")):
        return [_images(1, 3, 16, 64, 64)]
    size = 224 if name.startswith(FIXED) else 64
    if "inception" in name:
        size = 128
    return [_images(2, 3, size, size)]


def run(torch: Any, torchvision: Any, name: str) -> dict[str, Any]:
    """Everything that is compared of one network."""
    torch.manual_seed(0)
    model = torchvision.models.get_model(name, **_options(name))
    found: dict[str, Any] = state(model)
    found["draw"] = torch.rand(3).numpy()
    count = sum(parameter.numel() for parameter in model.parameters())
    found["parameters"] = np.array(count)
    if any(kind in name for kind in DETECTION):
        return found | _detection(torch, model, name)
    # Normalizations that have seen nothing would only hide the differences between layers.
    generator = np.random.default_rng(2)
    for key, value in model.state_dict().items():
        if key.endswith("running_var"):
            value.copy_(
                torch.from_numpy(generator.uniform(0.5, 1.5, value.shape).astype("float32"))
            )
    given = [torch.from_numpy(x) for x in inputs(name)]
    with torch.no_grad():
        found |= _arrays(model.eval()(*given))
    return found
