"""Frozen layers, groups of parameters, early stopping, checkpoints."""

import copy
import os
import tempfile

import torch
import torch.nn as nn
import torch.optim as optim
from torch.optim import lr_scheduler

torch.manual_seed(0)


class Backbone(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
            nn.Conv2d(8, 16, 3, padding=1),
            nn.BatchNorm2d(16),
            nn.ReLU(inplace=True),
            nn.AdaptiveAvgPool2d((1, 1)),
        )
        self.fc = nn.Linear(16, 10)

    def forward(self, x):
        return self.fc(torch.flatten(self.features(x), 1))


net = Backbone()
for p in net.parameters():
    p.requires_grad = False
net.fc = nn.Linear(net.fc.in_features, 3)
print(net)
for p in net.features[4].parameters():
    p.requires_grad_(True)
opt = optim.SGD(
    [
        {"params": net.fc.parameters(), "lr": 1e-2},
        {"params": [p for p in net.features.parameters() if p.requires_grad]},
    ],
    lr=1e-3,
    momentum=0.9,
    weight_decay=1e-4,
)
sched = lr_scheduler.StepLR(opt, step_size=2, gamma=0.1)
crit = nn.CrossEntropyLoss(label_smoothing=0.1)
X = torch.randn(24, 3, 8, 8)
Y = torch.randint(0, 3, (24,))
best, best_state, patience = float("inf"), None, 0
for epoch in range(6):
    net.train()
    running, correct = 0.0, 0
    for i in range(0, 24, 8):
        xb, yb = X[i : i + 8], Y[i : i + 8]
        opt.zero_grad()
        with torch.set_grad_enabled(True):
            out = net(xb)
            _, preds = torch.max(out, 1)
            loss = crit(out, yb)
            loss.backward()
            opt.step()
        running += loss.item() * xb.size(0)
        correct += torch.sum(preds == yb.data)
    sched.step()
    net.eval()
    with torch.no_grad():
        vl = crit(net(X), Y).item()
    print(f"{epoch} {running / 24:.4f} {correct.double() / 24:.4f} {vl:.4f} {sched.get_last_lr()}")
    if vl < best - 1e-3:
        best, best_state, patience = vl, copy.deepcopy(net.state_dict()), 0
    else:
        patience += 1
        if patience >= 2:
            print("stop")
            break
net.load_state_dict(best_state)
print(opt)
print(
    sum(p.numel() for p in net.parameters()),
    sum(p.numel() for p in net.parameters() if p.requires_grad),
)
print({k: tuple(v.shape) for k, v in net.state_dict().items()})
path = os.path.join(tempfile.mkdtemp(), "checkpoint.pt")
torch.save({"model": net.state_dict(), "opt": opt.state_dict(), "epoch": epoch}, path)
ck = torch.load(path, weights_only=True)
n2 = Backbone()
n2.fc = nn.Linear(16, 3)
print(n2.load_state_dict(ck["model"]))
n2.eval()
net.eval()
print(torch.allclose(n2(X), net(X)), ck["opt"]["param_groups"])
