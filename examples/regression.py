"""Supervised learning of a number: fit a curve through noisy measurements.

rushlight run examples/regression.py
"""

import torch
import torch.nn as nn

NOISE = 0.1


def measurements(count):
    x = torch.rand(count, 1) * 4 - 2
    y = torch.sin(3 * x) + 0.5 * x + NOISE * torch.randn(count, 1)
    return x, y


def main():
    torch.manual_seed(0)
    x_train, y_train = measurements(256)
    x_test, y_test = measurements(256)

    model = nn.Sequential(
        nn.Linear(1, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 1)
    )
    loss_function = nn.MSELoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)

    for step in range(1, 501):
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


if __name__ == "__main__":
    main()
