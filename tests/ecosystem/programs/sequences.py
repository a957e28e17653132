"""pytorch-crf and entmax: a tagger with a random field on top; sparse distributions."""

import entmax
import torch
from torchcrf import CRF

from tests.ecosystem.report import report

torch.manual_seed(0)


class Tagger(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.words = torch.nn.Embedding(50, 16, padding_idx=0)
        self.lstm = torch.nn.LSTM(16, 12, batch_first=True, bidirectional=True)
        self.scores = torch.nn.Linear(24, 5)
        self.field = CRF(5, batch_first=True)

    def forward(self, words):
        return self.scores(self.lstm(self.words(words))[0])


words, tags = torch.randint(1, 50, (6, 9)), torch.randint(0, 5, (6, 9))
lengths = torch.tensor([9, 7, 7, 5, 3, 1])
mask = torch.arange(9) < lengths[:, None]
words = words * mask
tagger = Tagger()
optimizer = torch.optim.SGD(tagger.parameters(), lr=0.1)
losses = []
for _ in range(6):
    optimizer.zero_grad()
    loss = -tagger.field(tagger(words), tags, mask=mask, reduction="token_mean")
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
x = torch.randn(4, 7, requires_grad=True)
found = {}
for name in ("sparsemax", "entmax15", "entmax_bisect", "normmax_bisect"):
    made = getattr(entmax, name)(x, dim=-1)
    (slope,) = torch.autograd.grad((made * torch.arange(7.0)).sum(), x)
    found[name] = (made, slope)
alpha = torch.tensor(1.4, requires_grad=True)
entmax.entmax_bisect(x, alpha).square().sum().backward()
sparse = entmax.Entmax15Loss(reduction="elementwise_mean")(x, torch.tensor([0, 3, 2, 6]))
report(
    losses=losses, best=tagger.field.decode(tagger(words), mask=mask), **found,
    alpha=alpha.grad, sparse=sparse,
)  # fmt: skip
