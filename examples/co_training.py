"""Semi-supervised learning: two networks that see different halves teach each other.

    rushlight run examples/co_training.py [PICTURE.png]

Co-training: one network sees the even columns of each digit, the other the odd ones.  Each labels
the pictures that it is surest of for the other one, whose half may not show what made it sure.  At
the end they vote.
The picture: the accuracy of each network and of both over the rounds.
"""

import sys

import torch
import torch.nn as nn
import torch.nn.functional as F

from rushlight.datasets import load_digits
from rushlight.progress import track

LABELED, ROUNDS, TAUGHT = 30, 10, 100


def network():
    return nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Dropout(0.2), nn.Linear(64, 10))


def fit(half, labels, steps=150):
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(steps):
        rows = torch.randint(0, len(half), (64,))
        optimizer.zero_grad()
        F.cross_entropy(model(half[rows]), labels[rows]).backward()
        optimizer.step()
    return model.eval()


@torch.no_grad()
def opinion(model, half):
    return torch.softmax(model(half), dim=1)


def draw(scores, path):
    """Three lines over the rounds: each network's accuracy, and that of their vote."""
    from PIL import Image, ImageDraw  # noqa: PLC0415

    image = Image.new("RGB", (1120, 440), "white")
    pen = ImageDraw.Draw(image)
    low, high = min(map(min, scores)) - 0.02, max(map(max, scores)) + 0.02

    def place(number, score):
        return 80 + 860 * number / ROUNDS, 380 - 340 * (score - low) / (high - low)

    for level in torch.arange(0.5, 1, 0.02).tolist():
        if low < level < high:
            pen.line([place(0, level), place(ROUNDS, level)], "#dddddd", 2)
            where = (70, place(0, level)[1])
            pen.text(where, f"{level:.2f}", "#333333", font_size=22, anchor="rm")
    for line, color, name in zip(
        zip(*scores), ("#4a7ebb", "#6aa84f", "#d1492e"), ("even columns", "odd columns", "together")
    ):
        places = [place(number, score) for number, score in enumerate(line)]
        pen.line(places, color, 5, joint="curve")
        pen.text((places[-1][0] + 10, places[-1][1]), name, color, font_size=24, anchor="lm")
    pen.text((940, 390), f"round {ROUNDS}", "#333333", font_size=22, anchor="ra")
    image.resize((560, 220), Image.Resampling.LANCZOS).quantize(32).save(path)


def main():
    torch.manual_seed(0)
    images, labels = map(torch.from_numpy, load_digits("train"))
    tests, test_labels = map(torch.from_numpy, load_digits("test"))
    halves = [images[..., k::2].flatten(1) for k in (0, 1)]
    test_halves = [tests[..., k::2].flatten(1) for k in (0, 1)]
    order = torch.randperm(len(images))
    known, unknown = order[:LABELED], order[LABELED:]
    # What each of the two is taught: rows, and the labels that it believes.
    taught, scores = [(known, labels[known]), (known, labels[known])], []

    for number in track(range(ROUNDS + 1)):
        models = [fit(half[rows], told) for half, (rows, told) in zip(halves, taught)]
        votes = [opinion(model, half) for model, half in zip(models, test_halves)]
        even, odd, both = (
            (vote.argmax(dim=1) == test_labels).float().mean().item()
            for vote in (*votes, votes[0] * votes[1])
        )
        print(f"round {number}: even {even:.3f}, odd {odd:.3f}, together {both:.3f}")
        scores.append((even, odd, both))
        for teacher, pupil in ((0, 1), (1, 0)):
            beliefs = opinion(models[teacher], halves[teacher][unknown])
            sureness, guess = beliefs.max(dim=1)
            # The surest of each digit, so that no digit crowds out the others.
            each = (number + 1) * TAUGHT // 10
            chosen = torch.cat(
                [
                    torch.where(guess == digit, sureness, -1.0).topk(each).indices
                    for digit in range(10)
                ]
            )
            rows, told = (
                torch.cat([known, unknown[chosen]]),
                torch.cat([labels[known], guess[chosen]]),
            )
            taught[pupil] = (rows, told)

    print(f"accuracy with {LABELED} labels: {scores[0][2]:.4f}")
    print(f"accuracy after co-training: {both:.4f}")

    if len(sys.argv) > 1:
        draw(scores, sys.argv[1])


if __name__ == "__main__":
    main()
