"""A variational autoencoder and a pair of adversaries on noise with structure."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset, random_split

torch.manual_seed(3)
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")


class Latent(nn.Module):
    def __init__(self, inputs, hidden, latent):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU())
        self.head = nn.Linear(hidden, 2 * latent)
        self.back = nn.Sequential(
            nn.Linear(latent, hidden), nn.ReLU(), nn.Linear(hidden, inputs), nn.Sigmoid()
        )

    def forward(self, x):
        center, log_var = self.head(self.body(x.flatten(1))).chunk(2, dim=1)
        drawn = center + torch.randn_like(center) * torch.exp(log_var / 2)
        return self.back(drawn), center, log_var


images = torch.rand(50, 1, 8, 8)
train, test = random_split(
    TensorDataset(images), [40, 10], generator=torch.Generator().manual_seed(7)
)
model = Latent(64, 32, 4).to(device)
optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)


def evidence(x, found, center, log_var):
    rebuilt = F.binary_cross_entropy(found, x.flatten(1), reduction="sum")
    return rebuilt + 0.5 * (center.square() + log_var.exp() - 1 - log_var).sum()


for epoch in range(3):
    total = 0.0
    for (x,) in DataLoader(train, batch_size=16, shuffle=True):
        loss = evidence(x, *model(x))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item()
    with torch.inference_mode():
        held_out = sum(evidence(x, *model(x)).item() for (x,) in DataLoader(test, batch_size=5))
    print(f"epoch {epoch}: {total / len(train):.3f} {held_out / len(test):.3f}")
print(loss, model.back(torch.zeros(1, 4))[0, :5])

maker = nn.Sequential(
    nn.ConvTranspose2d(6, 8, 4, bias=False),
    nn.BatchNorm2d(8),
    nn.ReLU(True),
    nn.ConvTranspose2d(8, 1, 4, stride=2, padding=1),
    nn.Tanh(),
)
judge = nn.Sequential(
    nn.Conv2d(1, 8, 4, stride=2, padding=1),
    nn.LeakyReLU(0.2, inplace=True),
    nn.Dropout2d(0.2),
    nn.Flatten(),
    nn.Linear(8 * 4 * 4, 1),
)


def small_weights(layer):
    if hasattr(layer, "weight") and layer.weight.dim() > 1:
        nn.init.xavier_uniform_(layer.weight, gain=0.5)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


maker.apply(small_weights)
judge.apply(small_weights)
maker_step = torch.optim.Adam(maker.parameters(), lr=1e-3, betas=(0.5, 0.99))
judge_step = torch.optim.RMSprop(judge.parameters(), lr=1e-3)
score = nn.BCEWithLogitsLoss()
for start in range(0, 50, 10):
    real = images[start : start + 10] * 2 - 1
    fake = maker(torch.randn(10, 6, 1, 1))
    on_real, on_fake = judge(real), judge(fake.detach())
    judged = score(on_real, torch.ones_like(on_real)) + score(on_fake, torch.zeros_like(on_fake))
    judge_step.zero_grad()
    judged.backward()
    judge_step.step()
    made = score(judge(fake), torch.ones(10, 1))
    maker_step.zero_grad()
    made.backward()
    maker_step.step()
    print(f"{judged.item():.4f} {made.item():.4f} {torch.sigmoid(on_fake).mean().item():.4f}")
between = torch.lerp(real, fake.detach(), torch.rand(10, 1, 1, 1)).requires_grad_()
(slope,) = torch.autograd.grad(judge(between).sum(), between, create_graph=True)
penalty = (slope.flatten(1).norm(dim=1) - 1).pow(2).mean()
penalty.backward()
print(penalty, judge[0].weight.grad.norm())
