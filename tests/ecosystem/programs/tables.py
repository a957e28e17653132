"""tab-transformer-pytorch, perceiver-pytorch and efficientnet-pytorch: networks as packages."""

import torch
from efficientnet_pytorch import EfficientNet
from perceiver_pytorch import Perceiver, PerceiverIO
from tab_transformer_pytorch import FTTransformer, TabTransformer

from tests.ecosystem.report import report

torch.manual_seed(0)
kinds, numbers = torch.randint(0, 5, (6, 3)), torch.randn(6, 4)
targets = torch.rand(6, 1)
found = {}
for name, net in (
    ("tab", TabTransformer(
        categories=(5, 6, 7), num_continuous=4, dim=16, dim_out=1, depth=2, heads=2,
        attn_dropout=0.1, ff_dropout=0.1, mlp_hidden_mults=(2, 1), mlp_act=torch.nn.ReLU(),
    )),
    ("ft", FTTransformer(categories=(5, 6, 7), num_continuous=4, dim=16, dim_out=1, depth=2,
                         heads=2, attn_dropout=0.1, ff_dropout=0.1)),
):  # fmt: skip
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    losses = []
    for _ in range(4):
        loss = torch.nn.functional.mse_loss(net(kinds, numbers), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    found[name] = losses
looks = Perceiver(
    input_channels=3, input_axis=2, num_freq_bands=4, max_freq=8.0, depth=2, num_latents=8,
    latent_dim=16, cross_heads=1, latent_heads=2, cross_dim_head=8, latent_dim_head=8,
    num_classes=5, attn_dropout=0.0, ff_dropout=0.0, weight_tie_layers=True,
)  # fmt: skip
pictures = torch.randn(2, 9, 9, 3)
loss = looks(pictures).square().mean()
loss.backward()
found["perceiver"] = loss
found["slopes"] = sum(p.grad.abs().sum() for p in looks.parameters() if p.grad is not None)
general = PerceiverIO(
    dim=8, queries_dim=8, logits_dim=4, depth=2, num_latents=6, latent_dim=12, cross_heads=1,
    latent_heads=2, cross_dim_head=6, latent_dim_head=6,
)  # fmt: skip
found["io"] = general(torch.randn(1, 20, 8), queries=torch.randn(5, 8))
efficient = EfficientNet.from_name("efficientnet-b0", num_classes=4, image_size=64)
efficient.eval()
found["efficient"] = efficient(torch.randn(1, 3, 64, 64))
found["features"] = efficient.extract_features(torch.randn(1, 3, 64, 64)).mean()
report(**found)
