"""Supervised learning: an LSTM looks ahead in a real series, the sunspots of three centuries.

    rushlight run examples/sunspots.py [PICTURE.png]

The yearly numbers of sunspots from 1700 to 2008 (National Geophysical Data Center, public domain).
From twenty-two years the network says what the next one brings; it learns up to 1920 and is asked
about the years after.  "As this year" is the guess that it must beat.
The picture: what was counted after 1920, in grey, and what was said a year before, in red.
"""

import sys

import torch
import torch.nn as nn
import torch.nn.functional as F

from rushlight.progress import track

SUNSPOTS = """
5 11 16 23 36 58 29 20 10 8 3 0 0 2 11 27 47 63 60 39 28 26 22 11 21 40 78 122 103 73 47 35 11 5
16 34 70 81 111 101 73 40 20 16 5 11 22 40 60 80.9 83.4 47.7 47.8 30.7 12.2 9.6 10.2 32.4 47.6 54
62.9 85.9 61.2 45.1 36.4 20.9 11.4 37.8 69.8 106.1 100.8 81.6 66.5 34.8 30.6 7 19.8 92.5 154.4
125.9 84.8 68.1 38.5 22.8 10.2 24.1 82.9 132 130.9 118.1 89.9 66.6 60 46.9 41 21.3 16 6.4 4.1 6.8
14.5 34 45 43.1 47.5 42.2 28.1 10.1 8.1 2.5 0 1.4 5 12.2 13.9 35.4 45.8 41.1 30.1 23.9 15.6 6.6 4
1.8 8.5 16.6 36.3 49.6 64.2 67 70.9 47.8 27.5 8.5 13.2 56.9 121.5 138.3 103.2 85.7 64.6 36.7 24.2
10.7 15 40.1 61.5 98.5 124.7 96.3 66.6 64.5 54.1 39 20.6 6.7 4.3 22.7 54.8 93.8 95.8 77.2 59.1 44
47 30.5 16.3 7.3 37.6 74 139 111.2 101.6 66.2 44.7 17 11.3 12.4 3.4 6 32.3 54.3 59.7 63.7 63.5
52.2 25.4 13.1 6.8 6.3 7.1 35.6 73 85.1 78 64 41.8 26.2 26.7 12.1 9.5 2.7 5 24.4 42 63.5 53.8 62
48.5 43.9 18.6 5.7 3.6 1.4 9.6 47.4 57.1 103.9 80.6 63.6 37.6 26.1 14.2 5.8 16.7 44.3 63.9 69 77.8
64.9 35.7 21.2 11.1 5.7 8.7 36.1 79.7 114.4 109.6 88.8 67.8 47.5 30.6 16.3 9.6 33.2 92.6 151.6
136.3 134.7 83.9 69.4 31.5 13.9 4.4 38 141.7 190.2 184.8 159 112.3 53.9 37.6 27.9 10.2 15.1 47
93.8 105.9 105.5 104.5 66.6 68.9 38 34.5 15.5 12.6 27.5 92.5 155.4 154.6 140.4 115.9 66.6 45.9
17.9 13.4 29.4 100.2 157.6 142.6 145.7 94.3 54.6 29.9 17.5 8.6 21.5 64.3 93.3 119.6 111 104 63.7
40.4 29.8 15.2 7.5 2.9
"""
YEARS = 22


def chart(series, colors, path):
    """Lines over the years as a picture."""
    from PIL import Image, ImageDraw  # noqa: PLC0415

    wide, high, edge = 1120, 360, 50
    image = Image.new("RGB", (wide, high), "white")
    pen = ImageDraw.Draw(image)
    for level in (0, 50, 100, 150, 200):
        y = high - edge - level / 200 * (high - 2 * edge)
        pen.line([(edge, y), (wide - edge, y)], "#dddddd", 2)
        pen.text((edge - 8, y), str(level), "#333333", font_size=22, anchor="rm")
    for line, color in zip(series, colors):
        step = (wide - 2 * edge) / (len(line) - 1)
        places = [(i * step, v / 200 * (high - 2 * edge)) for i, v in enumerate(line.tolist())]
        pen.line([(edge + x, high - edge - y) for x, y in places], color, 4, joint="curve")
    for year, x, side in ((1920, edge, "la"), (2008, wide - edge, "ra")):
        pen.text((x, high - edge + 8), str(year), "#333333", font_size=22, anchor=side)
    image.resize((wide // 2, high // 2), Image.Resampling.LANCZOS).quantize(32).save(path)


class Ahead(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(1, 32, batch_first=True)
        self.out = nn.Linear(32, 1)

    def forward(self, years):
        """(B, YEARS) -> (B,): what the next year adds to the last one."""
        states, _ = self.lstm(years[..., None])
        return years[:, -1] + self.out(states[:, -1])[:, 0]


def main():
    torch.manual_seed(0)
    series = torch.tensor([float(number) for number in SUNSPOTS.split()]).sqrt() / 10
    windows = series.unfold(0, YEARS + 1, 1)  # (N, YEARS + 1)
    past, following = windows[:, :-1], windows[:, -1]
    split = 1920 - 1700 - YEARS
    model = Ahead()
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=120)
    for epoch in track(range(1, 121)):
        for rows in torch.randperm(split).split(32):
            loss = F.mse_loss(model(past[rows]), following[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        schedule.step()
        if epoch % 30 == 0:
            print(f"epoch {epoch}: loss {loss.item():.4f}")

    model.eval()

    def spots(x):  # in sunspots, as they were counted
        return (10 * x).square()

    with torch.no_grad():
        said = spots(model(past[split:]))
    true, before = spots(following[split:]), spots(past[split:, -1])
    print(f"mean error after 1920, in sunspots: {F.l1_loss(said, true).item():.2f}")
    print(f"error of saying what was last year: {F.l1_loss(before, true).item():.2f}")
    if len(sys.argv) > 1:
        chart((true, said), ("#aaaaaa", "#d1492e"), sys.argv[1])


if __name__ == "__main__":
    main()
