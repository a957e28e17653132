"""stable-baselines3: PPO and SAC, unmodified."""

import gymnasium
import torch
from stable_baselines3 import PPO, SAC

from tests.ecosystem.report import report

torch.set_num_threads(1)
ppo = PPO("MlpPolicy", gymnasium.make("CartPole-v1"), seed=0, n_steps=256, device="cpu")
ppo.learn(512)
sac = SAC("MlpPolicy", gymnasium.make("Pendulum-v1"), seed=0, learning_starts=50, device="cpu")
sac.learn(200)
observation = torch.linspace(-1, 1, 4)
report(
    value=ppo.policy.predict_values(observation.reshape(1, 4)),
    weights=[p.detach().abs().mean().item() for p in ppo.policy.parameters()],
    action=sac.predict([0.1, 0.2, 0.3], deterministic=True)[0],
    actor=[p.detach().abs().mean().item() for p in sac.actor.parameters()],
)
