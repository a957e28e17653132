"""`import torchvision` means rushlight.vision under `rushlight run`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import rushlight
from rushlight.vision.transforms import functional as F

PROGRAM = """
import torch, torchvision
import torchvision.transforms.functional as F
from torchvision import transforms
from torchvision.ops import nms
from torchvision.transforms import v2
assert torchvision.__name__ == "rushlight.vision"
image = torch.arange(48, dtype=torch.uint8).reshape(3, 4, 4)
torch.manual_seed(0)
print(transforms.RandomCrop(2)(image).shape, v2.CenterCrop(2)(image).sum().item())
"""


def test_torchvision_is_rushlight_vision_under_run(tmp_path: Path) -> None:
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, "-m", "rushlight", "run", str(script)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[0] == "torch.Size([3, 2, 2]) 282"


def test_what_needs_pillow_says_so_where_it_is_missing(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['PIL'] = None\n"
        "import rushlight.vision.pillow as p\n"
        "p.Image.open('x.png')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "ImportError" in done.stderr
    assert "pip install 'rushlight[vision]'" in done.stderr


@pytest.mark.parametrize("name", ["transforms", "ops", "tv_tensors"])
def test_parts_are_imported_when_first_named(name: str) -> None:
    code = (
        "import sys, rushlight, rushlight.vision as v\n"
        f"assert 'rushlight.vision.{name}' not in sys.modules\nv.{name}"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_normalize_of_one_image_is_the_formula_and_gradients_flow() -> None:
    image = rushlight.arange(24.0).reshape(2, 3, 4)
    made = F.normalize(image, [1.0, 2.0], [4.0, 0.5])
    assert made.tolist() == ((image - rushlight.tensor([1.0, 2.0])[:, None, None])
        / rushlight.tensor([4.0, 0.5])[:, None, None]).tolist()  # fmt: skip
    image.requires_grad_()
    F.normalize(image, [1.0, 2.0], [4.0, 0.5]).sum().backward()
    assert image.grad[:, 0, 0].tolist() == [0.25, 2.0]
    with pytest.raises(ValueError, match="division by zero"):
        F.normalize(image, [0.0, 0.0], [0.0, 1.0])
