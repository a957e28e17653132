"""Reinforcement learning: an agent finds its way through a gridworld by trial and error.

    rushlight run examples/reinforce.py [PICTURE.png]

REINFORCE with a baseline: many walks at once; after each batch of walks, the steps of the walks
that went better than the average become more likely.
The picture: for each cell the moves that it makes, longer where they are likelier; it begins in the
blue cell, the green one is the goal and the dark one the pit.
"""

import sys

import torch
import torch.nn as nn

from rushlight.progress import track

SIZE = 4
START, PIT, GOAL = 0, 5, 15  # cells are numbered row by row
MOVES = torch.tensor([[-1, 0], [1, 0], [0, -1], [0, 1]])  # up, down, left, right
LONGEST = 20
SHORTEST_WALK = 6


def walk(policy, walkers):
    """Let `walkers` agents walk; their rewards, and the log-probability of what each did."""
    cell = torch.full((walkers,), START)
    alive = torch.ones(walkers, dtype=torch.bool)
    reward = torch.zeros(walkers)
    log_probability = torch.zeros(walkers)
    for _ in range(LONGEST):
        logits = torch.log_softmax(policy(cell), dim=1)  # (walkers, 4)
        move = torch.multinomial(logits.detach().exp(), 1)  # (walkers, 1)
        chosen = logits.gather(1, move).squeeze(1)
        log_probability = log_probability + torch.where(alive, chosen, torch.zeros_like(chosen))
        place = torch.stack([cell // SIZE, cell % SIZE], dim=1) + MOVES[move.squeeze(1)]
        place = place.clamp(0, SIZE - 1)
        cell = torch.where(alive, place[:, 0] * SIZE + place[:, 1], cell)
        reward = reward - 0.05 * alive.float()
        reward = reward + (alive & (cell == GOAL)).float() - (alive & (cell == PIT)).float()
        alive = alive & (cell != GOAL) & (cell != PIT)
        if not alive.any():
            break
    return reward, log_probability


def draw(policy, path):
    """An arrow for each way out of each cell, as long as it is likely."""
    from PIL import Image, ImageDraw  # noqa: PLC0415

    side, colors = 160, {PIT: "#555555", GOAL: "#8fc98f", START: "#cfe0f5"}
    image = Image.new("RGB", (SIZE * side, SIZE * side), "white")
    pen = ImageDraw.Draw(image)
    with torch.no_grad():
        chances = torch.softmax(policy(torch.arange(SIZE * SIZE)), dim=1)
    for cell in range(SIZE * SIZE):
        top, left = cell // SIZE * side, cell % SIZE * side
        pen.rectangle([left, top, left + side, top + side], colors.get(cell, "white"), "#999999", 2)
        if cell in (PIT, GOAL):
            continue
        y, x = top + side / 2, left + side / 2
        for (down, right), chance in zip(MOVES.tolist(), chances[cell].tolist()):
            reach, width = 20 + 52 * chance, 14
            tip = (x + right * reach, y + down * reach)
            base = (x + 16 * right, y + 16 * down)
            sides = [(base[0] + s * down * width, base[1] + s * right * width) for s in (-1, 1)]
            if chance > 0.15:
                pen.polygon([tip, *sides], "#d1492e" if chance > 0.5 else "#e8b4a8")
    image.resize((320, 320), Image.Resampling.LANCZOS).quantize(32).save(path)


def main():
    torch.manual_seed(0)
    policy = nn.Sequential(nn.Embedding(SIZE * SIZE, 32), nn.Tanh(), nn.Linear(32, 4))
    optimizer = torch.optim.Adam(policy.parameters(), lr=2e-2)

    for update in track(range(1, 101)):
        reward, log_probability = walk(policy, 64)
        advantage = (reward - reward.mean()) / (reward.std() + 1e-6)
        loss = -(advantage * log_probability).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if update % 20 == 0:
            print(f"update {update}: mean reward {reward.mean().item():.3f}")

    with torch.no_grad():
        reward, _ = walk(policy, 256)
    print(f"mean reward: {reward.mean().item():.4f}")
    print(f"best possible reward: {1 - 0.05 * SHORTEST_WALK:.4f}")

    if len(sys.argv) > 1:
        draw(policy, sys.argv[1])


if __name__ == "__main__":
    main()
