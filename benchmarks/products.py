"""Matrix products through the public interface: square, and the three shapes of a linear layer."""

from __future__ import annotations

from types import ModuleType

from benchmarks.workloads import Job


def _product(a, b) -> Job:
    def step() -> float:
        product = a @ b
        return product[0, 0].item()

    return Job(step, arrays=lambda: {"a": a.numpy(), "b": b.numpy()})


def matmul_1024(torch: ModuleType, F: ModuleType) -> Job:
    """float32 matrix product 1024³"""
    torch.manual_seed(0)
    return _product(torch.rand(1024, 1024), torch.rand(1024, 1024))


def matmul_forward(torch: ModuleType, F: ModuleType) -> Job:
    """float32 product of a linear layer, forward: 64×784 by (512×784)ᵀ"""
    torch.manual_seed(0)
    return _product(torch.rand(64, 784), torch.rand(512, 784).t())


def matmul_input_gradient(torch: ModuleType, F: ModuleType) -> Job:
    """float32 product of its input gradient: 64×512 by 512×784"""
    torch.manual_seed(0)
    return _product(torch.rand(64, 512), torch.rand(512, 784))


def matmul_weight_gradient(torch: ModuleType, F: ModuleType) -> Job:
    """float32 product of its weight gradient: (64×512)ᵀ by 64×784"""
    torch.manual_seed(0)
    return _product(torch.rand(64, 512).t(), torch.rand(64, 784))
