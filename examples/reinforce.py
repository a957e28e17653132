"""Reinforcement learning: an agent finds its way through a gridworld by trial and error.

    rushlight run examples/reinforce.py

REINFORCE with a baseline: many walks at once; after each batch of walks, the steps of the walks
that went better than the average become more likely.
"""

import torch
import torch.nn as nn

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


def main():
    torch.manual_seed(0)
    policy = nn.Sequential(nn.Embedding(SIZE * SIZE, 32), nn.Tanh(), nn.Linear(32, 4))
    optimizer = torch.optim.Adam(policy.parameters(), lr=2e-2)

    for update in range(1, 101):
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


if __name__ == "__main__":
    main()
