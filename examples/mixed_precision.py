"""Mixed precision: products in 16 bits, sums and weights in 32, with two lines more.

    rushlight run examples/mixed_precision.py [PICTURE.png]

`torch.autocast` runs matrix products and convolutions in bfloat16 and leaves to float32 what needs
it; `GradScaler` keeps small gradients of float16 from vanishing (with bfloat16, which has the range
of float32, it may be left out; it is here to show where it goes).  The picture: the filters that
the first layer learned, in single precision above and in mixed precision below.
"""

import sys

import torch
import torch.nn as nn
import torch.nn.functional as F

from rushlight.datasets import load_digits
from rushlight.progress import track


def train(images, labels, dtype, epochs=6):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.BatchNorm2d(32), nn.ReLU(),
        nn.Flatten(), nn.Linear(32 * 16, 10),
    )  # fmt: skip
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    narrow = dtype is not torch.float32
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10, enabled=narrow)
    for epoch in track(range(1, epochs + 1)):
        for rows in torch.randperm(len(images)).split(64):
            optimizer.zero_grad()
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=narrow):
                scores = model(images[rows])
                loss = F.cross_entropy(scores, labels[rows])
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
        if epoch % 2 == 0:
            print(f"epoch {epoch}: loss {loss.item():.3f}, scores in {scores.dtype}")
    return model.eval()


@torch.no_grad()
def accuracy(model, images, labels, narrow):
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=narrow):
        return (model(images).argmax(dim=1) == labels).float().mean().item()


def main():
    images, labels = map(torch.from_numpy, load_digits("train"))
    tests = list(map(torch.from_numpy, load_digits("test")))
    wide = train(images, labels, torch.float32)
    narrow = train(images, labels, torch.bfloat16)
    assert all(p.dtype is torch.float32 for p in narrow.parameters())
    print(f"accuracy in single precision: {accuracy(wide, *tests, False):.4f}")
    print(f"accuracy in mixed precision: {accuracy(narrow, *tests, True):.4f}")
    if len(sys.argv) > 1:
        from torchvision.utils import save_image  # noqa: PLC0415

        filters = torch.cat([wide[0].weight, narrow[0].weight]).detach()  # (32, 1, 3, 3)
        shown = F.interpolate(filters, scale_factor=12)
        save_image(
            shown, sys.argv[1], nrow=16, normalize=True, scale_each=True, pad_value=0.5, padding=4
        )


if __name__ == "__main__":
    main()
