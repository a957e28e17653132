"""transformers: a small ViT learns to tell images apart."""

import torch
from transformers import ViTConfig, ViTForImageClassification

from tests.ecosystem.report import report

torch.manual_seed(0)
config = ViTConfig(
    image_size=32,
    patch_size=8,
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=64,
    num_labels=3,
)
model = ViTForImageClassification(config)
images, labels = torch.randn(8, 3, 32, 32), torch.randint(0, 3, (8,))
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
losses = []
for _ in range(20):
    loss = model(pixel_values=images, labels=labels).loss
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
report(losses=losses)
