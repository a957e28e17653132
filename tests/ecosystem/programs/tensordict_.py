"""tensordict: tensors by names, modules that read and write them, memory maps."""

import tempfile

import torch
from tensordict import TensorDict, tensorclass
from tensordict.nn import ProbabilisticTensorDictModule, TensorDictModule, TensorDictSequential

from tests.ecosystem.report import report

torch.manual_seed(0)
data = TensorDict(
    {"x": torch.randn(6, 4), "inner": {"y": torch.arange(12).reshape(6, 2)}}, batch_size=[6]
)
joined = torch.cat([data[:2], data[3:]], 0)
stacked = torch.stack([data, data.clone()], 1)
scaled = data.apply(lambda value: value * 2)
network = TensorDictSequential(
    TensorDictModule(torch.nn.Linear(4, 8), in_keys=["x"], out_keys=["hidden"]),
    TensorDictModule(
        torch.nn.Sequential(torch.nn.ReLU(), torch.nn.Linear(8, 3)),
        in_keys=["hidden"], out_keys=["logits"],
    ),
    ProbabilisticTensorDictModule(
        in_keys=["logits"], out_keys=["action"], default_interaction_type="random",
        distribution_class=torch.distributions.Categorical, return_log_prob=True,
    ),
)  # fmt: skip


@tensorclass
class Pair:
    first: torch.Tensor
    second: torch.Tensor


optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
losses = []
for _ in range(5):
    found = network(data.clone())
    loss = -(found["action_log_prob"] * found["x"].sum(-1)).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
parameters = TensorDict.from_module(network)
with parameters.data.apply(torch.zeros_like).to_module(network):
    empty = network.get_submodule("module.0")(data.clone())["hidden"].abs().sum()
with tempfile.TemporaryDirectory() as folder:
    data.memmap(folder)
    again = TensorDict.load_memmap(folder)
    same = bool((again["x"] == data["x"]).all())
pair = Pair(torch.ones(3), torch.zeros(3, 2), batch_size=[3])
report(
    joined=joined["inner", "y"],
    shapes=[list(stacked.shape), list(stacked["x"].shape)],
    scaled=scaled["inner", "y"].sum(),
    losses=losses,
    empty=empty,
    same=same,
    pair=pair[:2].second,
    flat=sorted(".".join(key) for key in data.keys(True, True) if isinstance(key, tuple)),
)
