"""Reinforcement learning: a network learns to balance a pole, by deep Q-learning.

    rushlight run examples/q_learning.py [PICTURE.png]

The cart and its pole are simulated here, as in Gymnasium's CartPole, for at most 200 steps a game.
The picture: one game as dots, and whether the cart is pushed left (blue) or right (red) at each
angle (across) and turning speed (up), brighter where a longer game is expected.
"""

import math
import random
import sys

import torch
import torch.nn as nn
import torch.nn.functional as F

from rushlight.progress import track

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
        weight = 0.5 * (4 / 3 - 0.1 * math.cos(angle) ** 2 / 1.1)
        bend = (9.8 * math.sin(angle) - math.cos(angle) * pull) / weight
        move = pull - 0.05 * bend * math.cos(angle) / 1.1
        self.state = [x + 0.02 * v, v + 0.02 * move, angle + 0.02 * turn, turn + 0.02 * bend]
        self.steps += 1
        fell = abs(self.state[0]) > 2.4 or abs(self.state[2]) > math.radians(12)
        return self.state, fell, fell or self.steps >= MOST_STEPS


def network():
    hidden = [nn.Linear(4, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU()]
    return nn.Sequential(*hidden, nn.Linear(64, 2))


@torch.no_grad()
def choose(model, state):
    return model(torch.tensor([state])).argmax().item()


def play(model, cart):
    """The states of one episode without exploring."""
    states, over = [cart.reset()], False
    while not over:
        state, _, over = cart.step(choose(model, states[-1]))
        states.append(state)
    return states


def draw(model, path):
    from torchvision.utils import save_image  # noqa: PLC0415

    side, reach = 121, torch.tensor([math.radians(12), -1.5])  # what turns to the right is above
    scale = torch.linspace(-1, 1, side)
    states = torch.zeros(side, side, 4)
    states[..., 2], states[..., 3] = scale * reach[0], scale[:, None] * reach[1]
    with torch.no_grad():
        values, pushes = model(states).max(dim=-1)
    bright = 0.4 + 0.6 * (values - values.min()) / (values.max() - values.min())
    colors = torch.tensor([[0.45, 0.65, 0.95], [0.95, 0.60, 0.45]])
    picture = colors[pushes] * bright[..., None]
    played = torch.tensor(play(model, Cart()))[:, 2:].clamp(-reach.abs(), reach.abs())
    column, row = ((played / reach + 1) / 2 * (side - 1)).round().long().unbind(dim=1)
    picture[row, column] = 0
    save_image(picture.permute(2, 0, 1).repeat_interleave(3, 1).repeat_interleave(3, 2), path)


def main():
    torch.manual_seed(0)
    random.seed(0)
    cart, memory = Cart(), []
    model, target = network(), network()
    target.load_state_dict(model.state_dict())
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    before = sum(len(play(model, cart)) - 1 for _ in range(10)) / 10
    state = cart.reset()
    for step in track(range(1, 6001)):
        explores = random.random() < max(0.05, 1 - step / 2500)
        action = random.randrange(2) if explores else choose(model, state)
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
    after = sum(len(play(model, cart)) - 1 for _ in range(10)) / 10
    print(f"steps balanced before: {before:.1f}")
    print(f"steps balanced after: {after:.1f}")

    if len(sys.argv) > 1:
        draw(model, sys.argv[1])


if __name__ == "__main__":
    main()
