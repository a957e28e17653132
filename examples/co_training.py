"""Semi-supervised learning: two networks that see different halves teach each other.

    rushlight run examples/co_training.py

Co-training: one network sees the even columns of each digit, the other the odd ones.  Each labels
the pictures that it is surest of for the other one, whose half may not show what made it sure.  At
the end they vote.
"""

import torch
import torch.nn as nn
import torch.nn.functional as F

from rushlight.datasets import load_digits

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


def main():
    torch.manual_seed(0)
    images, labels = map(torch.from_numpy, load_digits("train"))
    tests, test_labels = map(torch.from_numpy, load_digits("test"))
    halves = [images[..., k::2].flatten(1) for k in (0, 1)]
    test_halves = [tests[..., k::2].flatten(1) for k in (0, 1)]
    order = torch.randperm(len(images))
    known, unknown = order[:LABELED], order[LABELED:]
    # What each of the two is taught: rows, and the labels that it believes.
    taught = [(known, labels[known]), (known, labels[known])]

    for number in range(ROUNDS + 1):
        models = [fit(half[rows], told) for half, (rows, told) in zip(halves, taught)]
        votes = [opinion(model, half) for model, half in zip(models, test_halves)]
        even, odd, both = (
            (vote.argmax(dim=1) == test_labels).float().mean().item()
            for vote in (*votes, votes[0] * votes[1])
        )
        print(f"round {number}: even {even:.3f}, odd {odd:.3f}, together {both:.3f}")
        if number == 0:
            alone = both
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

    print(f"accuracy with {LABELED} labels: {alone:.4f}")
    print(f"accuracy after co-training: {both:.4f}")


if __name__ == "__main__":
    main()
