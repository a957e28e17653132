"""Supervised learning of a number: fit a curve through noisy measurements.

    rushlight run examples/regression.py [PICTURE.png]

The picture: measurements in grey, the curve behind them in black, the learned one in red.
"""

import sys

import torch
import torch.nn as nn

from rushlight.progress import track

NOISE = 0.1


def measurements(count):
    x = torch.rand(count, 1) * 4 - 2
    y = torch.sin(3 * x) + 0.5 * x + NOISE * torch.randn(count, 1)
    return x, y


def draw(points, model, path):
    """The measurements, what they were made from, and what the network makes of each place."""
    from PIL import Image, ImageDraw  # noqa: PLC0415

    image = Image.new("RGB", (1120, 640), "white")
    pen = ImageDraw.Draw(image)

    def place(x, y):
        return 560 + 260 * x, 320 - 130 * y

    for x, y in points.tolist():
        across, up = place(x, y)
        pen.ellipse([across - 5, up - 5, across + 5, up + 5], "#bbbbbb")
    x = torch.linspace(-2, 2, 200)
    with torch.no_grad():
        learned = model(x[:, None])[:, 0]
    for y, color in ((torch.sin(3 * x) + 0.5 * x, "#333333"), (learned, "#d1492e")):
        pen.line([place(*point) for point in zip(x.tolist(), y.tolist())], color, 5, joint="curve")
    image.resize((560, 320), Image.Resampling.LANCZOS).quantize(32).save(path)


def main():
    torch.manual_seed(0)
    x_train, y_train = measurements(256)
    x_test, y_test = measurements(256)

    model = nn.Sequential(
        nn.Linear(1, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 1)
    )
    loss_function = nn.MSELoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)

    for step in track(range(1, 501)):
        optimizer.zero_grad()
        loss = loss_function(model(x_train), y_train)
        loss.backward()
        optimizer.step()
        if step % 100 == 0:
            print(f"step {step}: training loss {loss.item():.4f}")

    with torch.no_grad():
        error = loss_function(model(x_test), y_test).item()
        spread = y_test.var().item()
    print(f"test error: {error:.4f}")
    print(f"error of always guessing the mean: {spread:.4f}")
    print(f"noise that no model can predict: {NOISE**2:.4f}")

    if len(sys.argv) > 1:
        draw(torch.cat([x_train, y_train], dim=1), model, sys.argv[1])


if __name__ == "__main__":
    main()
