"""snntorch: spiking networks learn by surrogate gradients; several neurons and codes."""

import snntorch as snn
import snntorch.functional as SF
import torch
from snntorch import spikegen, surrogate, utils

from tests.ecosystem.report import report

torch.manual_seed(0)
slope = surrogate.fast_sigmoid(slope=25)


def leaky(**options):
    return snn.Leaky(0.9, spike_grad=slope, init_hidden=True, **options)


net = torch.nn.Sequential(
    torch.nn.Conv2d(1, 6, 5), torch.nn.MaxPool2d(2), leaky(),
    torch.nn.Conv2d(6, 8, 3), torch.nn.MaxPool2d(2), leaky(),
    torch.nn.Flatten(), torch.nn.Linear(8, 4), leaky(output=True),
)  # fmt: skip
pictures, targets = torch.rand(8, 1, 12, 12), torch.randint(0, 4, (8,))


def forward(steps):
    utils.reset(net)
    spikes, potentials = zip(*[net(pictures) for _ in range(steps)])
    return torch.stack(spikes), torch.stack(potentials)


loss_of, optimizer = SF.ce_rate_loss(), torch.optim.SGD(net.parameters(), lr=0.1)
losses = []
for _ in range(4):
    spikes, potentials = forward(6)
    loss = loss_of(spikes, targets) + potentials.square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
current = torch.rand(5, 3)
found = {}
for name, neuron in (
    ("synaptic", snn.Synaptic(alpha=0.9, beta=0.8)), ("alpha", snn.Alpha(alpha=0.9, beta=0.8)),
    ("lapicque", snn.Lapicque(beta=0.5)), ("rleaky", snn.RLeaky(beta=0.8, all_to_all=False, V=0.5)),
):  # fmt: skip
    state = neuron.reset_mem()
    state = state if isinstance(state, tuple) else (state,)
    for _ in range(4):
        spike, *state = neuron(current, *state)
    found[name] = state[-1]
report(
    losses=losses, rate=spikegen.rate(torch.rand(4, 4), num_steps=5).sum(),
    latency=spikegen.latency(torch.rand(4, 4), num_steps=5, normalize=True, linear=True),
    delta=spikegen.delta(torch.tensor([0.0, 2.0, 2.5, 1.0]), threshold=1.0), **found,
    accuracy=SF.accuracy_rate(spikes, targets),
)  # fmt: skip
