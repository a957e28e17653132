"""Generation: two networks against each other draw points on a ring.

    rushlight run examples/gan.py [PICTURE.png]

The generator turns noise into points, the critic tells them from real ones, each learns from the
other's success.  Real points lie on a ring of radius 2; the drawn ones should come to lie there.
"""

import sys

import torch
import torch.nn as nn
import torch.nn.functional as F

from rushlight.progress import track

RADIUS, SPREAD = 2.0, 0.1


def real(count):
    angle = torch.rand(count) * 2 * torch.pi
    radius = RADIUS + SPREAD * torch.randn(count)
    return torch.stack([radius * angle.cos(), radius * angle.sin()], dim=1)


def network(inputs, outputs):
    return nn.Sequential(
        nn.Linear(inputs, 64), nn.LeakyReLU(0.2), nn.Linear(64, 64), nn.LeakyReLU(0.2),
        nn.Linear(64, outputs),
    )  # fmt: skip


def main():
    torch.manual_seed(0)
    generator, critic = network(8, 2), network(2, 1)
    draws = torch.optim.Adam(generator.parameters(), lr=1e-3, betas=(0.5, 0.9))
    judges = torch.optim.Adam(critic.parameters(), lr=1e-3, betas=(0.5, 0.9))
    with torch.no_grad():
        before = generator(torch.randn(1000, 8)).norm(dim=1).sub(RADIUS).abs().mean().item()
    for step in track(range(1, 2001)):
        true, drawn = real(128), generator(torch.randn(128, 8))
        loss = F.softplus(-critic(true)).mean() + F.softplus(critic(drawn.detach())).mean()
        judges.zero_grad()
        loss.backward()
        judges.step()

        fooled = F.softplus(-critic(generator(torch.randn(128, 8)))).mean()
        draws.zero_grad()
        fooled.backward()
        draws.step()
        if step % 500 == 0:
            print(f"step {step}: critic {loss.item():.3f}, generator {fooled.item():.3f}")

    with torch.no_grad():
        points = generator(torch.randn(2000, 8))
    off = points.norm(dim=1).sub(RADIUS).abs().mean().item()
    sectors = ((torch.atan2(points[:, 1], points[:, 0]) + torch.pi) / (2 * torch.pi) * 12).long()
    reached = len(sectors.clamp(0, 11).unique())
    print(f"distance from the ring before: {before:.4f}")
    print(f"distance from the ring after: {off:.4f}")
    print(f"sectors of twelve that it draws: {reached:.1f}")
    if len(sys.argv) > 1:
        from torchvision.utils import save_image  # noqa: PLC0415

        # Left the real points, right the drawn ones: how many fall into each small square.
        squares = [((part + 3) * 20).long().clamp(0, 119) for part in (real(2000), points)]
        counts = [torch.bincount(s[:, 1] * 120 + s[:, 0], minlength=120**2) for s in squares]
        rows = torch.stack(counts).reshape(2, 1, 120, 120).float().clamp(max=3) / 3
        save_image(F.interpolate(rows, scale_factor=2), sys.argv[1], pad_value=0.5)


if __name__ == "__main__":
    main()
