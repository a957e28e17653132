"""diffusers: a small UNet learns to find noise, schedulers sample, an autoencoder encodes."""

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DDPMScheduler,
    EulerDiscreteScheduler,
    UNet2DConditionModel,
    UNet2DModel,
)

from tests.ecosystem.report import report

torch.manual_seed(0)
model = UNet2DModel(
    sample_size=16, in_channels=1, out_channels=1, layers_per_block=1, block_out_channels=(8, 16),
    norm_num_groups=4, down_block_types=("DownBlock2D", "AttnDownBlock2D"),
    up_block_types=("AttnUpBlock2D", "UpBlock2D"), attention_head_dim=8,
)  # fmt: skip
scheduler = DDPMScheduler(num_train_timesteps=100)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
images = torch.rand(4, 1, 16, 16) * 2 - 1
losses = []
for _ in range(8):
    noise = torch.randn_like(images)
    steps = torch.randint(0, 100, (4,))
    found = model(scheduler.add_noise(images, noise, steps), steps).sample
    loss = torch.nn.functional.mse_loss(found, noise)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
samples = {}
for kind in (DDIMScheduler, EulerDiscreteScheduler, DDPMScheduler):
    sampler = kind(num_train_timesteps=100)
    sampler.set_timesteps(5)
    x = torch.randn(1, 1, 16, 16, generator=torch.Generator().manual_seed(1))
    x = x * sampler.init_noise_sigma
    with torch.no_grad():
        for t in sampler.timesteps:
            out = model(sampler.scale_model_input(x, t), t).sample
            generator = torch.Generator().manual_seed(2)
            x = sampler.step(out, t, x, generator=generator).prev_sample
    samples[kind.__name__] = x.abs().mean()
conditioned = UNet2DConditionModel(
    sample_size=8, in_channels=4, out_channels=4, layers_per_block=1, block_out_channels=(8, 16),
    norm_num_groups=4, cross_attention_dim=12, attention_head_dim=4,
    down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
    up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
)  # fmt: skip
coder = AutoencoderKL(
    block_out_channels=(8, 16), norm_num_groups=4, latent_channels=4,
    down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
)  # fmt: skip
latents = coder.encode(torch.rand(1, 3, 16, 16)).latent_dist.mean
noise = conditioned(latents, 3, encoder_hidden_states=torch.randn(1, 5, 12)).sample
picture = coder.decode(noise).sample
picture.mean().backward()
report(
    losses=losses,
    samples=samples,
    noise=noise.abs().mean(),
    picture=picture.mean(),
    gradient=coder.encoder.conv_in.weight.grad.abs().sum(),
)
