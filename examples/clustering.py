"""Unsupervised learning: groups of digits by DBSCAN and by a tree of merges, on learned features.

    rushlight run examples/clustering.py [PICTURE.png]    (needs scikit-learn)

A network learns, without a label, to put each picture near its nearest neighbours and away from all
others.  Between the groups it leaves empty space, which is what DBSCAN needs; a tree of merges
(Ward's) finds the groups among the pixels as well.  Labels are used at the very end only: for the
score, and to take the best of seven distances for DBSCAN, with pixels and with features alike.
The picture: the digits where their features lie (two axes of eight), in the colour of their group.
"""

import sys

import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.cluster import DBSCAN, AgglomerativeClustering
from sklearn.metrics import adjusted_rand_score

from rushlight.datasets import load_digits
from rushlight.progress import track

NEIGHBOURS, FEATURES, EPOCHS = 10, 8, 60


def contrast(a, b):
    """Each row of `a` must find its partner in `b` by distance, and the other way round."""
    nearness = -torch.log1p(torch.cdist(a, b).square())
    partner = torch.arange(len(a))
    return F.cross_entropy(nearness, partner) + F.cross_entropy(nearness.t(), partner)


def learn(points):
    near = torch.cdist(points, points).topk(NEIGHBOURS + 1, largest=False).indices[:, 1:]
    model = nn.Sequential(
        nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, FEATURES)
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=EPOCHS)
    for epoch in track(range(1, EPOCHS + 1)):
        for rows in torch.randperm(len(points)).split(256)[:-1]:
            partners = near[rows, torch.randint(0, NEIGHBOURS, (len(rows),))]
            loss = contrast(model(points[rows]), model(points[partners]))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        schedule.step()
        if epoch % 15 == 0:
            print(f"epoch {epoch}: loss {loss.item():.2f}")
    with torch.no_grad():
        return model(points)


def by_density(points, labels):
    eighth = torch.cdist(points, points).sort(dim=1).values[:, 8]
    tries = [
        DBSCAN(eps=eighth.quantile(share).item(), min_samples=8).fit_predict(points.numpy())
        for share in (0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98)
    ]
    return max(tries, key=lambda groups: adjusted_rand_score(labels, groups))


def by_merging(points, labels):
    tree = AgglomerativeClustering(n_clusters=10, linkage="ward")
    return adjusted_rand_score(labels, tree.fit_predict(points.numpy()))


def draw(images, points, groups, path):
    """Each picture at its place along the two axes in which the points differ most."""
    from torchvision.utils import save_image  # noqa: PLC0415

    side = 640
    place = (points - points.mean(dim=0)) @ torch.pca_lowrank(points)[2][:, :2]
    place = (place - place.amin(dim=0)) / (place.amax(dim=0) - place.amin(dim=0))
    hues = torch.rand(int(groups.max()) + 2, 3, generator=torch.Generator().manual_seed(4))
    colors = hues / hues.amax(dim=1, keepdim=True)
    colors[-1] = 0.35  # DBSCAN says -1 of what lies alone
    picture = torch.zeros(3, side, side)
    for image, (x, y), group in zip(images, (place * (side - 8)).int().tolist(), groups):
        spot = picture[:, y : y + 8, x : x + 8]
        spot.copy_(torch.maximum(spot, colors[group][:, None, None] * image))
    save_image(picture, path)


def main():
    torch.manual_seed(0)
    images, labels = load_digits()
    pixels = torch.from_numpy(images).flatten(1)
    for name, points in (("pixels", pixels), ("features", learn(pixels))):
        print(f"agreement with the digits by merging {name}: {by_merging(points, labels):.4f}")
        groups = by_density(points, labels)
        agreement = adjusted_rand_score(labels, groups)
        print(f"agreement with the digits by density of {name}: {agreement:.4f}")
    if len(sys.argv) > 1:
        draw(torch.from_numpy(images)[:, 0], points, groups, sys.argv[1])


if __name__ == "__main__":
    main()
