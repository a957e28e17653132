"""Ten small programs whose tapes and groups are kept as text.

Each makes its tensors, and gives the function to look at.  The line numbers stand in the goldens.
"""

from __future__ import annotations

from collections.abc import Callable

import rushlight as torch
import rushlight.nn.functional as F

Program = Callable[[], Callable[[], object]]


def elementwise_chain():
    x, bias = torch.ones(64, 32), torch.ones(32)
    return lambda: ((x * 2 + bias).tanh() * torch.sigmoid(x)).sum()


def softmax_then_layer_norm():
    x, weight, bias = torch.ones(48, 40), torch.ones(40), torch.ones(40)
    return lambda: F.layer_norm(torch.softmax(x, dim=1), (40,), weight, bias)


def linear_and_gelu():
    x, weight, bias = torch.ones(16, 24), torch.ones(32, 24), torch.ones(32)
    return lambda: F.gelu(F.linear(x, weight, bias))


def logistic_regression():
    x, y = torch.ones(64, 8), torch.ones(64)
    w = torch.ones(8, requires_grad=True)

    def step():
        loss = F.binary_cross_entropy_with_logits(x @ w, y)
        loss.backward()
        with torch.no_grad():
            w.sub_(0.1 * w.grad)
        return loss

    return step


def mlp_with_adam():
    model = torch.nn.Sequential(torch.nn.Linear(12, 16), torch.nn.ReLU(), torch.nn.Linear(16, 5))
    optimizer = torch.optim.Adam(model.parameters())
    x, y = torch.ones(8, 12), torch.zeros(8, dtype=torch.int64)

    def step():
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()

    return step


def causal_attention():
    q, k, v = (torch.ones(2, 3, 10, 4, requires_grad=True) for _ in range(3))

    def step():
        F.scaled_dot_product_attention(q, k, v, is_causal=True).sum().backward()
        return q.grad, k.grad, v.grad

    return step


def embedding_and_scatter():
    table = torch.ones(11, 6, requires_grad=True)
    words = torch.tensor([[1, 4, 4], [0, 10, 2]])

    def step():
        F.embedding(words, table).mean(dim=1).exp().sum().backward()
        return table.grad

    return step


def views_and_writes():
    x = torch.ones(6, 8)

    def step():
        y = x.clone()
        y[:, 2:5] += 1
        y[0] = y[1] * y[:, 3].sum()
        return y.t().reshape(-1)

    return step


def convolution():
    x, weight = torch.ones(2, 3, 8, 8), torch.ones(4, 3, 3, 3, requires_grad=True)

    def step():
        F.max_pool2d(F.relu(F.conv2d(x, weight, padding=1)), 2).sum().backward()
        return weight.grad

    return step


def reductions_of_all_kinds():
    x = torch.ones(3, 70_000)
    return lambda: (x.sum(), x.amax(0), x.argmax(1), x.var(1), x[:, :9].sort().values, x.prod(1))


PROGRAMS: dict[str, Program] = {
    program.__name__: program
    for program in (
        elementwise_chain, softmax_then_layer_norm, linear_and_gelu, logistic_regression,
        mlp_with_adam, causal_attention, embedding_and_scatter, views_and_writes, convolution,
        reductions_of_all_kinds,
    )
}  # fmt: skip
