"""lpips (its layers, with random weights), pytorch-msssim: distances of images, and gradients."""

import lpips
import torch
from pytorch_msssim import MS_SSIM, SSIM, ms_ssim, ssim

from tests.ecosystem.report import report

torch.manual_seed(0)
x, y = torch.rand(2, 3, 64, 64), torch.rand(2, 3, 64, 64)
image = x.clone().requires_grad_()
perceptual = lpips.LPIPS(net="squeeze", pretrained=False, pnet_rand=True, verbose=False)
loss = perceptual(image * 2 - 1, y * 2 - 1).mean()
loss.backward()
large = torch.rand(1, 3, 176, 176)
near = (large + 0.1 * torch.randn_like(large)).clamp(0, 1)
learned = y.clone().requires_grad_()
optimizer = torch.optim.Adam([learned], lr=0.01)
rule = SSIM(data_range=1.0, channel=3)
curve = []
for _ in range(6):
    loss_ = 1 - rule(learned, x)
    optimizer.zero_grad()
    loss_.backward()
    optimizer.step()
    curve.append(loss_.item())
report(
    perceptual=loss,
    gradient=image.grad.abs().sum(),
    ssim=ssim(x, y, data_range=1.0),
    multi=ms_ssim(large, near, data_range=1.0),
    module=MS_SSIM(data_range=1.0, channel=3)(large, near),
    curve=curve,
)
