"""einops: rearranging, reducing, layers."""

import torch
from einops import rearrange, reduce, repeat
from einops.layers.torch import EinMix, Rearrange, Reduce

from tests.ecosystem.report import report

torch.manual_seed(0)
x = torch.randn(4, 3, 8, 8, requires_grad=True)
model = torch.nn.Sequential(
    Rearrange("b c (h p) (w q) -> b (h w) (p q c)", p=4, q=4),
    EinMix("b t c -> b t d", weight_shape="c d", bias_shape="d", c=48, d=16),
    torch.nn.ReLU(),
    Reduce("b t d -> b d", "mean"),
)
made = model(x)
made.square().sum().backward()
report(
    output=made,
    gradient=x.grad.abs().sum(),
    rearranged=rearrange(x, "b c h w -> (b h) (w c)").sum(0),
    reduced=reduce(x, "b c (h h2) w -> b h c", "max", h2=2),
    repeated=repeat(x[0, 0], "h w -> h (w k)", k=2).sum(1),
)
