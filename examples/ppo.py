"""Reinforcement learning: proximal policy optimization balances a pole of Gymnasium's.

    rushlight run examples/ppo.py [PICTURE.png]    (needs Gymnasium: `pip install gymnasium`)

The actor and the critic learn from what eight poles do at the same time.  A step may not change the
policy by more than a fifth (the clipped ratio), so that each experience can be used several times.
The picture: games as dots, when they ended and how long the pole stood, and the mean of twenty.
"""

import sys

import gymnasium
import numpy as np
import torch
import torch.nn as nn
from torch.distributions import Categorical

from rushlight.progress import track

POLES, STEPS, ROUNDS, EPOCHS = 8, 64, 50, 6
DISCOUNT, SMOOTH, CLIP = 0.99, 0.95, 0.2


def network(outputs):
    hidden = [nn.Linear(4, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh()]
    return nn.Sequential(*hidden, nn.Linear(64, outputs))


def advantages(rewards, values, ended, after):
    """How much better each step was than the critic thought (generalized, over what followed)."""
    result, running = torch.zeros_like(rewards), torch.zeros(POLES)
    for t in reversed(range(STEPS)):
        going_on = 1 - ended[t]
        surprise = rewards[t] + DISCOUNT * after * going_on - values[t]
        running = surprise + DISCOUNT * SMOOTH * going_on * running
        result[t], after = running, values[t]
    return result


def draw(games, path):
    """A dot for each game: when it ended and how long it was; a line for the mean of twenty."""
    from PIL import Image, ImageDraw  # noqa: PLC0415

    image = Image.new("RGB", (1120, 480), "white")
    pen, last = ImageDraw.Draw(image), games[-1][0]

    def place(when, length):
        return 70 + 1010 * when / last, 430 - 0.78 * length

    for level in range(0, 501, 100):
        pen.line([place(0, level), place(last, level)], "#dddddd", 2)
        pen.text((60, place(0, level)[1]), str(level), "#333333", font_size=22, anchor="rm")
    for when, length, _ in games:
        x, y = place(when, length)
        pen.ellipse([x - 4, y - 4, x + 4, y + 4], "#aaaaaa")
    means = [place(when, mean) for when, _, mean in games]
    pen.line(means, "#d1492e", 5, joint="curve")
    pen.text((1080, 440), f"{last} steps", "#333333", font_size=22, anchor="ra")
    image.resize((560, 240), Image.Resampling.LANCZOS).quantize(32).save(path)


def main():
    torch.manual_seed(0)
    poles = gymnasium.vector.SyncVectorEnv(
        [lambda: gymnasium.make("CartPole-v1") for _ in range(POLES)],
        autoreset_mode=gymnasium.vector.AutoresetMode.SAME_STEP,
    )
    seen, _ = poles.reset(seed=0)
    actor, critic = network(2), network(1)
    optimizer = torch.optim.Adam([*actor.parameters(), *critic.parameters()], lr=2e-3)
    lengths, running, games = [], np.zeros(POLES), []
    for number in track(range(1, ROUNDS + 1)):
        states, actions, rewards, ended = [], [], [], []
        for _ in range(STEPS):
            states.append(torch.from_numpy(np.array(seen, dtype=np.float32)))
            with torch.no_grad():
                actions.append(Categorical(logits=actor(states[-1])).sample())
            seen, reward, fallen, out_of_time, _ = poles.step(actions[-1].numpy())
            over = fallen | out_of_time
            rewards.append(torch.from_numpy(reward.astype(np.float32)))
            ended.append(torch.from_numpy(over.astype(np.float32)))
            running += 1
            for length in running[over].tolist():
                mean = np.mean([length, *(game[1] for game in games[-19:])])
                games.append(((number - 1) * STEPS + len(states), length, mean))
            running[over] = 0
        lengths.append(games[-1][2] if games else STEPS)
        states, actions = torch.stack(states), torch.stack(actions)
        with torch.no_grad():
            values = critic(states)[..., 0]
            after = critic(torch.from_numpy(np.array(seen, dtype=np.float32)))[:, 0]
            gain = advantages(torch.stack(rewards), values, torch.stack(ended), after)
            old = Categorical(logits=actor(states)).log_prob(actions).flatten()
        target, gain = (gain + values).flatten(), gain.flatten()
        states, actions = states.flatten(0, 1), actions.flatten()
        gain = (gain - gain.mean()) / gain.std()
        for _ in range(EPOCHS):
            for rows in torch.randperm(len(states)).split(128):
                policy = Categorical(logits=actor(states[rows]))
                ratio = (policy.log_prob(actions[rows]) - old[rows]).exp()
                clipped = ratio.clamp(1 - CLIP, 1 + CLIP)
                pays = torch.minimum(ratio * gain[rows], clipped * gain[rows]).mean()
                wrong = (critic(states[rows])[:, 0] - target[rows]).square().mean()
                loss = -pays + 0.5 * wrong - 0.01 * policy.entropy().mean()
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(actor.parameters(), 0.5)
                optimizer.step()
        if number % 10 == 0:
            print(f"round {number}: a game lasts {lengths[-1]:.1f} steps")
    print(f"steps balanced before: {lengths[0]:.1f}")
    print(f"steps balanced after: {max(lengths[-10:]):.1f}")

    if len(sys.argv) > 1:
        draw(games, sys.argv[1])


if __name__ == "__main__":
    main()
