"""denoising-diffusion-pytorch: a small network learns to remove noise, and makes pictures."""

import torch
from denoising_diffusion_pytorch import GaussianDiffusion, Unet

from tests.ecosystem.report import report

torch.manual_seed(0)
model = Unet(dim=8, dim_mults=(1, 2), flash_attn=False)
diffusion = GaussianDiffusion(model, image_size=16, timesteps=20, sampling_timesteps=4)
pictures = torch.rand(2, 3, 16, 16)
optimizer = torch.optim.Adam(model.parameters(), 1e-3)
losses = []
for _ in range(3):
    loss = diffusion(pictures)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
report(losses=losses, made=diffusion.sample(batch_size=2))
