"""The workloads in tinygrad: one `TinyJit` function for each step.  Needs a C compiler (clang).

`benchmarks.peers.MAKERS` says which function makes which workload.
"""

from __future__ import annotations

from typing import Any

from benchmarks.peers import DECAY, HEADS, LAYER_NORM_EPS, LEARNING_RATE, maker
from benchmarks.workloads import Job

Arrays = dict[str, Any]


def build(name: str, threads: int, arrays: str) -> Job:
    """The job of a workload.  Raises: NotWritten."""
    make = maker("tinygrad", __name__, name)
    import numpy as np
    import tinygrad

    with np.load(arrays) as file:
        loaded = {key: np.ascontiguousarray(file[key]) for key in file}
    tensors = {key: tinygrad.Tensor(array).realize() for key, array in loaded.items()}
    return Job(make(tinygrad, tensors, name))


def _training(tinygrad, loss_of, params: Arrays, data: tuple, decay: float):
    from tinygrad.nn.optim import Adam, AdamW

    for value in params.values():
        value.requires_grad = True
    if decay:
        optimizer = AdamW(list(params.values()), lr=LEARNING_RATE, weight_decay=decay)
    else:
        optimizer = Adam(list(params.values()), lr=LEARNING_RATE)

    @tinygrad.TinyJit
    def compiled(*data):
        with tinygrad.Context(TRAINING=1):
            optimizer.zero_grad()
            loss = loss_of(params, *data)
            loss.backward()
            return loss.realize(*optimizer.schedule_step())

    return lambda: float(compiled(*data).item())


def _perceptron(params, x, layers: int):
    for layer in range(layers):
        x = x.linear(params[f"{2 * layer}.weight"].T, params[f"{2 * layer}.bias"])
        if layer + 1 < layers:
            x = x.relu()
    return x


def classifier(tinygrad, arrays: Arrays, name: str):
    x, y = arrays.pop("x"), arrays.pop("y")
    layers = len(arrays) // 2

    def loss_of(params, x, y):
        return _perceptron(params, x, layers).sparse_categorical_crossentropy(y)

    return _training(tinygrad, loss_of, arrays, (x, y), 0.0)


def logistic(tinygrad, arrays: Arrays, name: str):
    x, y = arrays["x"], arrays["y"]
    w = tinygrad.Tensor.zeros(8).contiguous().realize()
    b = tinygrad.Tensor.zeros(1).contiguous().realize()
    w.requires_grad = b.requires_grad = True

    @tinygrad.TinyJit
    def compiled(x, y):
        p = (x @ w + b).sigmoid()
        loss = -(y * (p + 1e-7).log() + (1 - y) * (1 - p + 1e-7).log()).mean()
        loss.backward()
        w.assign(w.detach() - 0.1 * w.grad)
        b.assign(b.detach() - 0.1 * b.grad)
        w.grad = b.grad = None
        return loss.realize(w, b)

    return lambda: float(compiled(x, y).item())


def inference(tinygrad, arrays: Arrays, name: str):
    x = arrays.pop("x")
    compiled = tinygrad.TinyJit(lambda x: _perceptron(arrays, x, 3).max().realize())
    return lambda: float(compiled(x).item())


def gpt(tinygrad, arrays: Arrays, name: str):
    data = arrays.pop("data")
    heads = HEADS[name]
    layers = sum(key.endswith("qkv.weight") for key in arrays)

    def norm(params, key, x):
        scaled = x.layernorm(eps=LAYER_NORM_EPS)
        return scaled * params[f"{key}.weight"] + params[f"{key}.bias"]

    def linear(params, key, x):
        return x.linear(params[f"{key}.weight"].T, params[f"{key}.bias"])

    def attention(q, k, v):
        b, t, c = q.shape
        q, k, v = (z.reshape(b, t, heads, c // heads).transpose(1, 2) for z in (q, k, v))
        y = q.scaled_dot_product_attention(k, v, is_causal=True)
        return y.transpose(1, 2).reshape(b, t, c)

    def loss_of(params, x, y):
        h = params["token.weight"][x] + params["position.weight"][: x.shape[1]]
        for i in range(layers):
            at = f"blocks.{i}."
            qkv = linear(params, at + "qkv", norm(params, at + "norm1", h))
            h = h + linear(params, at + "project", attention(*qkv.chunk(3, dim=2)))
            wide = linear(params, at + "up", norm(params, at + "norm2", h))
            # The exact GELU; tinygrad's own is the approximation by tanh.
            wide = 0.5 * wide * (1 + (wide / 2**0.5).erf())
            h = h + linear(params, at + "down", wide)
        logits = linear(params, "head", norm(params, "norm", h))
        return logits.reshape(-1, logits.shape[-1]).sparse_categorical_crossentropy(y.reshape(-1))

    x, y = data[:, :-1].contiguous().realize(), data[:, 1:].contiguous().realize()
    return _training(tinygrad, loss_of, arrays, (x, y), DECAY)


def chain(tinygrad, arrays: Arrays, name: str):
    compiled = tinygrad.TinyJit(
        lambda x: ((x * 0.5 + 1.0).tanh() * x.exp()).sigmoid().sum().realize()
    )
    return lambda: float(compiled(arrays["x"]).item())


def softmax_layer_norm(tinygrad, arrays: Arrays, name: str):
    @tinygrad.TinyJit
    def compiled(x):
        out = x.softmax().layernorm(eps=LAYER_NORM_EPS).realize()
        return out, out[0, 0].contiguous().realize()

    return lambda: float(compiled(arrays["x"])[1].item())


def product(tinygrad, arrays: Arrays, name: str):
    @tinygrad.TinyJit
    def compiled(a, b):
        c = (a @ b).realize()
        return c, c[0, 0].contiguous().realize()

    return lambda: float(compiled(arrays["a"], arrays["b"])[1].item())
