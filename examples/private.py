"""Per-sample gradients: learn from a crowd without learning much of anyone in it.

    rushlight run examples/private.py [PICTURE.png]

Differentially private gradient descent: the gradient of each single example is clipped before they
are summed, and noise of a few examples' size is added.  `torch.func` gives all the gradients of a
batch at once: `grad` of the loss of one example, spread over the batch by `vmap`.  The picture:
examples of the last batch with the largest gradients, which clipping hides in the crowd, and below
them those with the smallest.
"""

import math
import sys

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.func import functional_call, grad, vmap

from rushlight.datasets import load_digits
from rushlight.progress import track

CLIP, NOISE, BATCH, STEPS = 1.0, 3.0, 256, 150


def main():
    torch.manual_seed(0)
    images, labels = map(torch.from_numpy, load_digits("train"))
    tests, test_labels = map(torch.from_numpy, load_digits("test"))
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 10))
    parameters = {name: value.detach() for name, value in model.named_parameters()}

    def loss_of_one(parameters, image, label):
        scores = functional_call(model, parameters, (image[None],))
        return F.cross_entropy(scores, label[None])

    gradients_of_each = vmap(grad(loss_of_one), in_dims=(None, 0, 0))

    for step in track(range(1, STEPS + 1)):
        rows = torch.randperm(len(images))[:BATCH]  # nobody twice
        gradients = gradients_of_each(parameters, images[rows], labels[rows])
        norms = sum(g.flatten(1).square().sum(dim=1) for g in gradients.values()).sqrt()
        shrink = (CLIP / norms).clamp(max=1)  # (BATCH,)
        for name, each in gradients.items():
            kept = torch.tensordot(shrink, each, dims=1)
            noise = NOISE * CLIP * torch.randn_like(kept)
            parameters[name] = parameters[name] - 2.0 / BATCH * (kept + noise)
        if step % 50 == 0:
            loss = F.cross_entropy(functional_call(model, parameters, (images,)), labels)
            print(f"step {step}: loss {loss.item():.3f}, clipped {(norms > CLIP).sum().item()}")

    guess = functional_call(model, parameters, (tests,)).argmax(dim=1)
    print(f"test accuracy: {(guess == test_labels).float().mean().item():.4f}")
    # Zero-concentrated privacy of so many noisy sums; that rows are drawn makes it better still.
    rho = STEPS / (2 * NOISE**2)
    print(f"privacy loss at most (epsilon): {rho + 2 * math.sqrt(rho * math.log(1e5)):.1f}")
    if len(sys.argv) > 1:
        from torchvision.utils import save_image  # noqa: PLC0415

        order = norms.argsort(descending=True)
        chosen = rows[torch.cat([order[:12], order[-12:]])]
        shown = F.interpolate(images[chosen], scale_factor=5)
        save_image(shown, sys.argv[1], nrow=12, normalize=True, pad_value=0.5)


if __name__ == "__main__":
    main()
