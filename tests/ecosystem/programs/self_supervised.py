"""lightly: losses and heads of self-supervised learning, with queues, momentum and views."""

import copy

import torch
from lightly import loss as losses
from lightly.models import modules
from lightly.models.utils import batch_shuffle, deactivate_requires_grad, update_momentum

from tests.ecosystem.report import report

torch.manual_seed(0)
backbone = torch.nn.Sequential(
    torch.nn.Conv2d(3, 8, 3, 2), torch.nn.BatchNorm2d(8), torch.nn.ReLU(),
    torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(),
)  # fmt: skip
first, second = torch.randn(8, 3, 16, 16), torch.randn(8, 3, 16, 16)
found = {}


def trained(name, head, loss_of, forward):
    net, steps = torch.nn.ModuleList([copy.deepcopy(backbone), head]), []
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    for _ in range(3):
        loss = loss_of(*forward(*net))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        steps.append(loss.item())
    found[name] = steps


def both(net, head):
    return head(net(first)), head(net(second))


trained("simclr", modules.SimCLRProjectionHead(8, 16, 8), losses.NTXentLoss(), both)
trained("barlow", modules.BarlowTwinsProjectionHead(8, 16, 16), losses.BarlowTwinsLoss(), both)
trained("vicreg", modules.BarlowTwinsProjectionHead(8, 16, 16), losses.VICRegLoss(), both)
predict = modules.SimSiamPredictionHead(8, 4, 8)
similar = losses.NegativeCosineSimilarity()


def siamese(net, head):
    z = [head(net(x)) for x in (first, second)]
    return predict(z[0]), z[1].detach()


trained("simsiam", modules.SimSiamProjectionHead(8, 16, 8), similar, siamese)
slow = copy.deepcopy(backbone)
deactivate_requires_grad(slow)
queue = losses.NTXentLoss(memory_bank_size=(16, 8))


def momentum(net, head):
    update_momentum(net, slow, 0.9)
    shuffled, order = batch_shuffle(second)
    key = slow(shuffled)[torch.argsort(order)]
    return head(net(first)), head(key).detach()


trained("moco", modules.MoCoProjectionHead(8, 16, 8), queue, momentum)
swav = modules.SwaVPrototypes(8, 5)
found["swav"] = losses.SwaVLoss()(
    [swav(torch.nn.functional.normalize(backbone(x))) for x in (first, second)], []
)
dino = losses.DINOLoss(output_dim=8)
views = [torch.randn(4, 8) for _ in range(3)]
found["dino"] = dino(views[:2], views, epoch=1)
report(**found)
