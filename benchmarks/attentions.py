"""Attention alone through the public interface, forward and backward."""

from __future__ import annotations

from types import ModuleType

from benchmarks.workloads import Job


def _attention(
    torch: ModuleType, F: ModuleType, batch: int, heads: int, length: int, causal: bool,
    dropout: float = 0.0,
) -> Job:  # fmt: skip
    torch.manual_seed(0)
    q, k, v, g = (torch.randn(batch, heads, length, 64) for _ in range(4))
    for x in (q, k, v):
        x.requires_grad_()

    def step() -> float:
        for x in (q, k, v):
            x.grad = None
        y = F.scaled_dot_product_attention(q, k, v, None, dropout, causal)
        y.backward(g)
        return (q.grad * k.grad * v.grad).sum().item()

    def arrays():
        return {name: x.detach().numpy().copy() for name, x in zip("qkvg", (q, k, v, g))}

    return Job(step, arrays=arrays)


def attention_64(torch: ModuleType, F: ModuleType) -> Job:
    """causal attention, batch 8, 6 heads of 64, length 64, and its gradient"""
    return _attention(torch, F, 8, 6, 64, True)


def attention_256(torch: ModuleType, F: ModuleType) -> Job:
    """the same, length 256"""
    return _attention(torch, F, 8, 6, 256, True)


def attention_256_full(torch: ModuleType, F: ModuleType) -> Job:
    """the same, length 256, every query sees all keys"""
    return _attention(torch, F, 8, 6, 256, False)


def attention_4096(torch: ModuleType, F: ModuleType) -> Job:
    """the same, causal, length 4096, batch 1"""
    return _attention(torch, F, 1, 6, 4096, True)


def attention_dropout(torch: ModuleType, F: ModuleType) -> Job:
    """the same, causal, length 1024, batch 2, a tenth of the weights dropped"""
    return _attention(torch, F, 2, 6, 1024, True, 0.1)
