"""vector-quantize-pytorch: codebooks, residual, finite and lookup-free ones, with gradients."""

import torch
from vector_quantize_pytorch import FSQ, LFQ, ResidualVQ, VectorQuantize

from tests.ecosystem.report import report

torch.manual_seed(0)
x = torch.nn.Parameter(torch.randn(2, 16, 32))
quantized, indices, loss = VectorQuantize(dim=32, codebook_size=64, decay=0.8)(x)
(quantized.sum() + loss).backward()
_, residual, losses = ResidualVQ(dim=32, num_quantizers=3, codebook_size=32)(x.detach())
_, finite = FSQ([8, 5, 5, 5])(torch.randn(2, 16, 4))
_, free, entropy = LFQ(codebook_size=16, dim=4, entropy_loss_weight=0.1)(torch.randn(2, 8, 4))
report(
    indices=indices, loss=loss, gradient=x.grad, residual=residual, losses=losses, finite=finite,
    free=free, entropy=entropy,
)  # fmt: skip
