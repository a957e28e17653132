"""Reinforcement learning: a network learns to balance a pole, by deep Q-learning.

    rushlight run examples/q_learning.py

The cart and its pole are simulated here (Barto, Sutton and Anderson's equations, as in Gymnasium's
CartPole).  An episode ends when the pole falls or after 200 steps.
"""

import math
import random

import torch
import torch.nn as nn
import torch.nn.functional as F

MOST_STEPS, DISCOUNT, BATCH = 200, 0.98, 64


class Cart:
    """state: position, velocity, angle of the pole, its angular velocity."""

    def reset(self):
        self.state, self.steps = [random.uniform(-0.05, 0.05) for _ in range(4)], 0
        return self.state

    def step(self, action):
        x, v, angle, turn = self.state
        push = 10.0 if action else -10.0
        pull = (push + 0.05 * turn**2 * math.sin(angle)) / 1.1
        bend = (9.8 * math.sin(angle) - math.cos(angle) * pull) / (
            0.5 * (4 / 3 - 0.1 * math.cos(angle) ** 2 / 1.1)
        )
        move = pull - 0.05 * bend * math.cos(angle) / 1.1
        self.state = [x + 0.02 * v, v + 0.02 * move, angle + 0.02 * turn, turn + 0.02 * bend]
        self.steps += 1
        fell = abs(self.state[0]) > 2.4 or abs(self.state[2]) > math.radians(12)
        return self.state, fell, fell or self.steps >= MOST_STEPS


def network():
    return nn.Sequential(
        nn.Linear(4, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 2)
    )  # fmt: skip


def play(model, cart):
    """Steps of one episode without exploring."""
    state, over = cart.reset(), False
    while not over:
        with torch.no_grad():
            action = model(torch.tensor([state])).argmax().item()
        state, _, over = cart.step(action)
    return cart.steps


def main():
    torch.manual_seed(0)
    random.seed(0)
    cart, memory = Cart(), []
    model, target = network(), network()
    target.load_state_dict(model.state_dict())
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    before = sum(play(model, cart) for _ in range(10)) / 10
    state, step = cart.reset(), 0
    for step in range(1, 6001):
        if random.random() < max(0.05, 1 - step / 2500):
            action = random.randrange(2)
        else:
            with torch.no_grad():
                action = model(torch.tensor([state])).argmax().item()
        following, fell, over = cart.step(action)
        memory.append((state, action, following, float(fell)))
        state = cart.reset() if over else following
        if len(memory) < 500 or step % 2:
            continue
        states, actions, followings, ends = zip(*random.sample(memory[-5000:], BATCH))
        with torch.no_grad():
            best = target(torch.tensor(followings)).max(dim=1).values
            wanted = 1 + DISCOUNT * best * (1 - torch.tensor(ends))
        found = model(torch.tensor(states)).gather(1, torch.tensor(actions)[:, None])[:, 0]
        loss = F.smooth_l1_loss(found, wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 200 == 0:
            target.load_state_dict(model.state_dict())
        if step % 1500 == 0:
            print(f"step {step}: value expected {found.mean().item():.2f}")
    after = sum(play(model, cart) for _ in range(10)) / 10
    print(f"steps balanced before: {before:.1f}")
    print(f"steps balanced after: {after:.1f}")


if __name__ == "__main__":
    main()
