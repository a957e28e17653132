"""Supervised learning of a category: which of three spiral arms does a point belong to?

    rushlight run examples/classification.py [PICTURE.png]

The picture: the arm that the network names for each place of the plane, and the points it knew.
"""

import math
import sys

import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset, random_split

from rushlight.progress import track

ARMS = 3
POINTS_PER_ARM = 200


def spirals():
    points, labels = [], []
    for arm in range(ARMS):
        radius = torch.linspace(0.05, 1.0, POINTS_PER_ARM)
        angle = 4 * radius + 2 * math.pi * arm / ARMS + 0.15 * torch.randn(POINTS_PER_ARM)
        points.append(torch.stack([radius * torch.cos(angle), radius * torch.sin(angle)], dim=1))
        labels.append(torch.full((POINTS_PER_ARM,), arm))
    return TensorDataset(torch.cat(points), torch.cat(labels))


class SpiralNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(2, 64)
        self.fc2 = nn.Linear(64, 64)
        self.fc3 = nn.Linear(64, ARMS)
        self.relu = nn.ReLU()

    def forward(self, x):
        x = self.relu(self.fc1(x))
        x = self.relu(self.fc2(x))
        return self.fc3(x)


def main():
    torch.manual_seed(0)
    train_set, test_set = random_split(spirals(), [480, 120])
    loader = DataLoader(train_set, batch_size=48, shuffle=True)

    model = SpiralNet()
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True)

    for epoch in track(range(1, 41)):
        running = 0.0
        for points, labels in loader:
            optimizer.zero_grad()
            loss = criterion(model(points), labels)
            loss.backward()
            optimizer.step()
            running += loss.item()
        if epoch % 10 == 0:
            print(f"epoch {epoch}: loss {running / len(loader):.4f}")

    model.eval()
    right = 0
    with torch.no_grad():
        for points, labels in DataLoader(test_set, batch_size=120):
            right += (model(points).argmax(dim=1) == labels).sum().item()
    print(f"test accuracy: {right / len(test_set):.4f}")
    if len(sys.argv) > 1:
        from torchvision.utils import save_image  # noqa: PLC0415

        side = 280
        line = torch.linspace(-1.2, 1.2, side)
        y, x = torch.meshgrid(line, line, indexing="ij")
        with torch.no_grad():
            named = model(torch.stack([x, y], dim=2)).argmax(dim=2)  # (side, side)
        colors = torch.tensor([[0.82, 0.29, 0.18], [0.16, 0.44, 0.66], [0.33, 0.56, 0.25]])
        picture = 0.35 * colors[named] + 0.65
        points, labels = train_set[:]
        column, row = ((points + 1.2) / 2.4 * (side - 1)).round().long().unbind(dim=1)
        for down in (-1, 0, 1):
            for right in (-1, 0, 1):
                picture[row + down, column + right] = colors[labels]
        save_image(picture.permute(2, 0, 1), sys.argv[1])


if __name__ == "__main__":
    main()
