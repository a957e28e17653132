"""pyro: variational inference, and a Markov chain."""

import pyro
import pyro.distributions as dist
import torch
from pyro.infer import MCMC, NUTS, SVI, Trace_ELBO
from pyro.infer.autoguide import AutoNormal

from tests.ecosystem.report import report

pyro.set_rng_seed(0)
data = torch.randn(40) + 2.0


def model(values):
    location = pyro.sample("location", dist.Normal(0.0, 5.0))
    scale = pyro.sample("scale", dist.HalfNormal(2.0))
    with pyro.plate("values", len(values)):
        pyro.sample("observed", dist.Normal(location, scale), obs=values)


guide = AutoNormal(model)
svi = SVI(model, guide, pyro.optim.Adam({"lr": 0.05}), Trace_ELBO())
losses = [svi.step(data) for _ in range(20)]
median = guide.median()
pyro.set_rng_seed(1)
chain = MCMC(NUTS(model), num_samples=20, warmup_steps=20, disable_progbar=True)
chain.run(data)
report(losses=losses, median=median, location=chain.get_samples()["location"].mean())
