"""The workloads in JAX: one jitted function for each step, its state donated.

`benchmarks.peers.MAKERS` says which function makes which workload.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from benchmarks.peers import BETAS, DECAY, EPS, HEADS, LAYER_NORM_EPS, LEARNING_RATE, maker
from benchmarks.workloads import Job

Arrays = dict[str, Any]


def build(name: str, threads: int, arrays: str) -> Job:
    """The job of a workload.  Raises: NotWritten."""
    if threads == 1:
        flags = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flags}"
    make = maker("JAX", __name__, name)
    import jax
    import jax.numpy as jnp
    import numpy as np

    with np.load(arrays) as file:
        loaded = {key: jnp.asarray(file[key]) for key in file}
    return Job(make(jax, jnp, loaded, name))


def _training(jax, jnp, loss_of: Callable, params: Arrays, data: tuple, decay: float):
    """Adam's step as PyTorch computes it; decoupled decay for AdamW."""

    def update(params, means, squares, count, *data):
        loss, grads = jax.value_and_grad(loss_of)(params, *data)
        count = count + 1
        first, second = 1 - BETAS[0] ** count, 1 - BETAS[1] ** count
        new: tuple[Arrays, Arrays, Arrays] = ({}, {}, {})
        for key, x in params.items():
            g = grads[key]
            m = means[key] + (1 - BETAS[0]) * (g - means[key])
            v = BETAS[1] * squares[key] + (1 - BETAS[1]) * g * g
            x = x * (1 - LEARNING_RATE * decay)
            new[0][key] = x - LEARNING_RATE / first * m / (jnp.sqrt(v / second) + EPS)
            new[1][key], new[2][key] = m, v
        return *new, count, loss

    compiled = jax.jit(update, donate_argnums=(0, 1, 2, 3))
    zeros = {key: jnp.zeros_like(x) for key, x in params.items()}
    more = {key: jnp.zeros_like(x) for key, x in params.items()}
    state = [params, zeros, more, jnp.zeros((), jnp.float32)]

    def step() -> float:
        *state[:], loss = compiled(*state, *data)
        return float(loss)

    return step


def _cross_entropy(jax, jnp, logits, targets):
    chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), targets[:, None], axis=1)
    return -chosen.mean()


def _perceptron(jax, params, x, layers: int):
    for layer in range(layers):
        x = x @ params[f"{2 * layer}.weight"].T + params[f"{2 * layer}.bias"]
        if layer + 1 < layers:
            x = jax.nn.relu(x)
    return x


def classifier(jax, jnp, arrays: Arrays, name: str):
    x, y = arrays.pop("x"), arrays.pop("y")
    layers = len(arrays) // 2

    def loss_of(params, x, y):
        return _cross_entropy(jax, jnp, _perceptron(jax, params, x, layers), y)

    return _training(jax, jnp, loss_of, arrays, (x, y), 0.0)


def logistic(jax, jnp, arrays: Arrays, name: str):
    x, y = arrays["x"], arrays["y"]

    def loss_of(params, x, y):
        w, b = params
        p = jax.nn.sigmoid(x @ w + b)
        return -(y * jnp.log(p + 1e-7) + (1 - y) * jnp.log(1 - p + 1e-7)).mean()

    @jax.jit
    def update(params, x, y):
        loss, grads = jax.value_and_grad(loss_of)(params, x, y)
        return [p - 0.1 * g for p, g in zip(params, grads)], loss

    state = [[jnp.zeros(8), jnp.zeros(1)]]

    def step() -> float:
        state[0], loss = update(state[0], x, y)
        return float(loss)

    return step


def inference(jax, jnp, arrays: Arrays, name: str):
    x = arrays.pop("x")
    forward = jax.jit(lambda params, x: _perceptron(jax, params, x, 3).max())
    return lambda: float(forward(arrays, x))


def gpt(jax, jnp, arrays: Arrays, name: str):
    data = arrays.pop("data")
    heads = HEADS[name]
    layers = sum(key.endswith("qkv.weight") for key in arrays)

    def norm(params, key, x):
        mean = x.mean(-1, keepdims=True)
        variance = ((x - mean) ** 2).mean(-1, keepdims=True)
        scaled = (x - mean) / jnp.sqrt(variance + LAYER_NORM_EPS)
        return scaled * params[f"{key}.weight"] + params[f"{key}.bias"]

    def linear(params, key, x):
        return x @ params[f"{key}.weight"].T + params[f"{key}.bias"]

    def attention(q, k, v):
        b, t, c = q.shape
        q, k, v = (z.reshape(b, t, heads, c // heads).transpose(0, 2, 1, 3) for z in (q, k, v))
        scores = q @ k.transpose(0, 1, 3, 2) / jnp.sqrt(c // heads)
        scores = jnp.where(jnp.tril(jnp.ones((t, t), bool)), scores, -jnp.inf)
        return (jax.nn.softmax(scores) @ v).transpose(0, 2, 1, 3).reshape(b, t, c)

    def loss_of(params, x, y):
        h = params["token.weight"][x] + params["position.weight"][: x.shape[1]]
        for i in range(layers):
            at = f"blocks.{i}."
            qkv = linear(params, at + "qkv", norm(params, at + "norm1", h))
            y_ = attention(*jnp.split(qkv, 3, axis=2))
            h = h + linear(params, at + "project", y_)
            wide = linear(params, at + "up", norm(params, at + "norm2", h))
            h = h + linear(params, at + "down", jax.nn.gelu(wide, approximate=False))
        logits = linear(params, "head", norm(params, "norm", h))
        return _cross_entropy(jax, jnp, logits.reshape(-1, logits.shape[-1]), y.reshape(-1))

    return _training(jax, jnp, loss_of, arrays, (data[:, :-1], data[:, 1:]), DECAY)


def chain(jax, jnp, arrays: Arrays, name: str):
    compiled = jax.jit(
        lambda x: jax.nn.sigmoid(jnp.tanh(x * 0.5 + 1.0) * jnp.exp(x)).sum()
    )  # fmt: skip
    return lambda: float(compiled(arrays["x"]))


def softmax_layer_norm(jax, jnp, arrays: Arrays, name: str):
    @jax.jit
    def compiled(x):
        s = jax.nn.softmax(x)
        mean = s.mean(-1, keepdims=True)
        variance = ((s - mean) ** 2).mean(-1, keepdims=True)
        out = (s - mean) / jnp.sqrt(variance + LAYER_NORM_EPS)
        return out, out[0, 0]

    return lambda: float(compiled(arrays["x"])[1])


def product(jax, jnp, arrays: Arrays, name: str):
    @jax.jit
    def compiled(a, b):
        c = a @ b
        return c, c[0, 0]

    return lambda: float(compiled(arrays["a"], arrays["b"])[1])
