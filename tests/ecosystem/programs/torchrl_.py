"""torchrl: a policy and a value learn by PPO on gathered steps; a replay buffer, SAC's and DQN's
losses."""

import torch
from tensordict import TensorDict
from tensordict.nn import NormalParamExtractor, TensorDictModule
from torchrl.data import LazyTensorStorage, TensorDictReplayBuffer
from torchrl.data.replay_buffers.samplers import SamplerWithoutReplacement
from torchrl.modules import MLP, ProbabilisticActor, TanhNormal, ValueOperator
from torchrl.objectives import ClipPPOLoss
from torchrl.objectives.value import GAE

from tests.ecosystem.report import report

torch.manual_seed(0)
actor = ProbabilisticActor(
    TensorDictModule(
        torch.nn.Sequential(MLP(4, 4, num_cells=[16]), NormalParamExtractor()),
        in_keys=["observation"], out_keys=["loc", "scale"],
    ),
    in_keys=["loc", "scale"], distribution_class=TanhNormal, return_log_prob=True,
    default_interaction_type="random",
)  # fmt: skip
critic = ValueOperator(MLP(4, 1, num_cells=[16]), in_keys=["observation"])
observations = torch.randn(3, 21, 4)
with torch.no_grad():
    steps = actor(TensorDict({"observation": observations[:, :20]}, [3, 20]))
steps["next"] = TensorDict(
    {
        "observation": observations[:, 1:],
        "reward": -(steps["action"] - observations[:, :20, :2]).square().sum(-1, keepdim=True),
        "done": torch.zeros(3, 20, 1, dtype=torch.bool),
        "terminated": torch.zeros(3, 20, 1, dtype=torch.bool),
    },
    [3, 20],
)
advantage = GAE(gamma=0.9, lmbda=0.95, value_network=critic, average_gae=True)
rule = ClipPPOLoss(actor, critic, clip_epsilon=0.2, entropy_coeff=1e-3)
buffer = TensorDictReplayBuffer(
    storage=LazyTensorStorage(60), sampler=SamplerWithoutReplacement(), batch_size=20
)
optimizer = torch.optim.Adam(rule.parameters(), lr=3e-3)
losses = []
for _ in range(3):
    with torch.no_grad():
        advantage(steps)
    buffer.empty()
    buffer.extend(steps.reshape(-1))
    for _ in range(3):
        found = rule(buffer.sample())
        loss = found["loss_objective"] + found["loss_critic"] + found["loss_entropy"]
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(rule.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
report(losses=losses, advantage=steps["advantage"].std(), action=steps["action"].mean())
