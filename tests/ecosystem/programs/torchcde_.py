"""torchcde: splines through series, and a controlled equation along them."""

import torch
import torchcde

from tests.ecosystem.report import report

torch.manual_seed(0)
series = torch.randn(4, 10, 3)
spline = torchcde.CubicSpline(torchcde.hermite_cubic_coefficients_with_backward_differences(series))


class Field(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(5, 15)

    def forward(self, t, z):
        return self.layer(z).tanh().view(4, 5, 3)


field = Field()
z = torchcde.cdeint(
    X=spline, func=field, z0=torch.zeros(4, 5), t=spline.interval, adjoint=False, method="rk4",
    options={"step_size": 0.5},
)  # fmt: skip
z.sum().backward()
natural = torchcde.CubicSpline(torchcde.natural_cubic_coeffs(series))
report(
    ends=z[:, -1], gradient=field.layer.weight.grad, slope=natural.derivative(torch.tensor(2.5)),
    linear=torchcde.linear_interpolation_coeffs(series),
)  # fmt: skip
