"""Unsupervised learning: find groups among the digits without looking at the labels.

    rushlight run examples/k_means.py [PICTURE.png]

Labels are used at the very end, to see how pure the groups are.
"""

import sys

import torch
import torch.nn.functional as F

from rushlight.datasets import load_digits
from rushlight.progress import track

CLUSTERS = 20


def squared_distances(points, centers):
    return ((points[:, None, :] - centers[None, :, :]) ** 2).sum(dim=-1)  # (N, K)


def spread_out(points, count):
    """Starting centers far from each other (k-means++): each is drawn with a probability that
    grows with its squared distance from those already chosen."""
    chosen = [torch.randint(0, len(points), (1,)).item()]
    for _ in range(count - 1):
        nearest = squared_distances(points, points[chosen]).min(dim=1).values
        chosen.append(torch.multinomial(nearest, 1).item())
    return points[chosen]


def k_means(points, count, steps=30):
    centers = spread_out(points, count)
    for step in track(range(1, steps + 1)):
        nearest, assignment = squared_distances(points, centers).min(dim=1)
        members = F.one_hot(assignment, count).to(points.dtype)  # (N, K)
        sizes = members.sum(dim=0).clamp(min=1)
        moved = (members.t() @ points) / sizes[:, None]
        if torch.allclose(moved, centers):
            break
        centers = moved
        if step % 5 == 0:
            print(f"step {step}: mean squared distance {nearest.mean().item():.4f}")
    return centers, assignment


def main():
    torch.manual_seed(0)
    images, labels = load_digits()
    points = torch.from_numpy(images).flatten(1)  # (N, 64)
    labels = torch.from_numpy(labels)
    centers, assignment = k_means(points, CLUSTERS)

    right = 0
    for cluster in range(CLUSTERS):
        of_cluster = labels[assignment == cluster]
        if len(of_cluster) > 0:
            right += torch.bincount(of_cluster, minlength=10).max().item()
    print(f"purity: {right / len(labels):.4f}")
    if len(sys.argv) > 1:
        from torchvision.utils import save_image  # noqa: PLC0415

        rows = torch.nn.functional.interpolate(centers.reshape(-1, 1, 8, 8), scale_factor=6)
        save_image(rows, sys.argv[1], nrow=(CLUSTERS + 1) // 2, normalize=True, pad_value=0.5)


if __name__ == "__main__":
    main()
