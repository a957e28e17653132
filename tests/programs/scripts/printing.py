"""What a session at the prompt shows: tensors, modules, errors."""

import numpy as np
import torch
import torch.nn as nn

torch.manual_seed(0)
# -- tensor basics as tutorials print them
x = torch.rand(3, 4)
print(x)
print(f"Shape {x.shape} {x.dtype} {x.device} {x.stride()} {x.is_contiguous()}")
print(
    x.T @ x, x.sum().item(), x.mean(dim=0), x.argmax(1), x.max(), x.std(), x > 0.5, (x > 0.5).sum()
)
print(
    torch.tensor([[1, 2], [3, 4]], dtype=torch.int8),
    torch.zeros(2, 0),
    torch.tensor(3.5),
    torch.tensor([1e10, 1e-5, float("nan")]),
    torch.arange(0, 1, 0.25),
    torch.linspace(0, 10, 4),
    torch.full((2, 2), 7),
    torch.eye(3),
    torch.logspace(0, 2, 3),
    torch.empty(0),
)
print(
    torch.randint(0, 9, (2, 5)),
    torch.randperm(8),
    torch.randn(2, 2),
    torch.normal(0.0, 1.0, (3,)),
    torch.bernoulli(torch.full((5,), 0.4)),
    torch.multinomial(torch.tensor([0.1, 0.2, 0.7]), 4, replacement=True),
)
a = np.arange(6).reshape(2, 3).astype(np.float32)
t = torch.from_numpy(a)
t.add_(1)
print(a, t.numpy().sum(), torch.as_tensor(a[0]), torch.tensor(a)[:, 1:])
print(
    torch.cat([x, x], 1).shape,
    torch.stack([x[0], x[1]]),
    x.view(-1)[:5],
    x.reshape(2, -1).shape,
    x[None, :, None].shape,
    x.squeeze().shape,
    torch.where(x > 0.5, x, torch.zeros_like(x)),
)
print(
    x.split(2, dim=1)[0],
    x.chunk(2)[1],
    x.unbind()[0],
    torch.sort(x, dim=1, descending=True),
    torch.topk(x, 2),
    torch.unique(torch.tensor([3, 1, 1, 2]), return_counts=True),
    torch.cumsum(x, 1)[0],
    torch.flip(x, [0])[0],
)
print(
    torch.allclose(x, x + 1e-9),
    torch.equal(x, x),
    torch.isnan(x).any(),
    torch.clamp(x, 0.2, 0.8)[0],
    x.type(torch.int32)[0],
    x.to(torch.bool)[0],
    x.half()[0],
    x.bfloat16()[0],
    x.double()[0],
    (x * 100).long()[0],
)
y = torch.ones(2, 2, requires_grad=True)
z = y + 2
out = (z * z * 3).mean()
print(y, z, out)
out.backward()
print(
    y.grad,
    y.is_leaf,
    z.is_leaf,
    z.requires_grad,
    out.grad_fn.name(),
    z.grad_fn.next_functions[0][0].name(),
)
w = torch.randn(3, requires_grad=True)
v = w * 2
while v.data.norm() < 1000:
    v = v * 2
print(v)
v.backward(torch.tensor([0.1, 1.0, 0.0001]))
print(w.grad)
for f in (
    lambda: v.backward(torch.ones(3)),
    lambda: torch.ones(2, 3) @ torch.ones(2, 3),
    lambda: torch.ones(2) + torch.ones(3),
    lambda: torch.ones(2, 3).view(4),
    lambda: torch.ones(3)[5],
    lambda: nn.Linear(3, 2)(torch.ones(1, 4)),
    lambda: torch.tensor([1, 2]).mean(),
    lambda: torch.ones(2, requires_grad=True).numpy(),
    lambda: torch.ones(2, requires_grad=True).add_(1),
    lambda: nn.Conv2d(3, 4, 3)(torch.ones(1, 1, 8, 8)),
    lambda: torch.cat([torch.ones(2, 2), torch.ones(3)]),
    lambda: nn.Sequential(nn.Linear(2, 2)).load_state_dict({"0.weight": torch.ones(2, 3)}),
    lambda: torch.ones(2).backward(),
    lambda: torch.ones(2, requires_grad=True).backward(),
    lambda: int(torch.ones(2)),
    lambda: torch.stack([torch.ones(2), torch.ones(3)]),
    lambda: torch.ones(2, 3).expand(4, 3),
    lambda: torch.ones(2, 2).permute(0, 0),
    lambda: torch.ones(1).cuda(),
    lambda: nn.Linear(2, 2).foo,
    lambda: torch.tensor("a"),
    lambda: torch.zeros(2, 2).squeeze(5),
    lambda: torch.ones(2).to("banana"),
):
    try:
        r = f()
        print("no error", type(r))
    except Exception as e:
        print(type(e).__name__)


# -- modules printing
class Block(nn.Module):
    def __init__(s, c):
        super().__init__()
        s.c1 = nn.Conv2d(c, c, 3, padding=1, bias=False)
        s.bn = nn.BatchNorm2d(c)
        s.act = nn.SiLU()
        s.drop = nn.Dropout2d(0.1)
        s.down = nn.Identity()
        s.scale = nn.Parameter(torch.ones(1) * 1e-2)
        s.register_buffer("steps", torch.tensor(0))

    def forward(s, x):
        s.steps += 1
        return s.down(x) + s.scale * s.drop(s.act(s.bn(s.c1(x))))

    def extra_repr(s):
        return "custom"


net = nn.Sequential(
    nn.Conv2d(1, 4, 3, stride=2),
    Block(4),
    nn.ModuleList([nn.Linear(2, 2)])[0].__class__(3, 3) if False else nn.AdaptiveMaxPool2d(2),
    nn.Flatten(),
    nn.Linear(16, 2),
    nn.LogSoftmax(dim=1),
)
print(net)
o = net(torch.randn(2, 1, 9, 9))
print(o, net[1].steps, net.state_dict()["1.steps"])
net.eval()
print(net(torch.ones(1, 1, 9, 9)))
print([n for n, _ in net.named_parameters()], [n for n, _ in net.named_modules()], net[1].scale)
for m in (
    nn.LSTM(3, 4, 2, batch_first=True),
    nn.GRUCell(2, 3),
    nn.MultiheadAttention(8, 2),
    nn.TransformerEncoderLayer(8, 2),
    nn.Embedding(5, 3, padding_idx=0),
    nn.ConvTranspose2d(2, 3, 4, 2, 1),
    nn.CrossEntropyLoss(),
    nn.Upsample(scale_factor=2),
    nn.GroupNorm(2, 4),
    nn.ParameterList([nn.Parameter(torch.ones(2))]),
    nn.ModuleDict({"a": nn.ReLU()}),
    nn.Bilinear(2, 2, 3),
    nn.PixelShuffle(2),
    nn.MaxPool2d(2, ceil_mode=True),
    nn.Unflatten(1, (2, 2)),
    nn.BCEWithLogitsLoss(pos_weight=torch.ones(2)),
    nn.ZeroPad2d(1),
    nn.Softmax(dim=-1),
    nn.Hardtanh(),
    nn.LayerNorm([2, 3]),
    nn.RNN(2, 2),
):
    print(m)
torch.set_printoptions(precision=2, sci_mode=False)
print(torch.rand(2, 2) * 1000)
torch.set_printoptions(profile="default")
print(torch.rand(30, 40))
print(
    torch.rand(2, 2, 2),
    torch.tensor([True, False]),
    torch.tensor(1 + 2j),
    torch.rand(2, requires_grad=True),
    nn.Parameter(torch.ones(2)),
    torch.Size([1, 2]),
    torch.float32,
    torch.device("cpu"),
    torch.finfo(torch.float32).eps,
    torch.iinfo(torch.int8),
)
torch.set_grad_enabled(False)
lstm = nn.LSTM(3, 2)
o, (h, c) = lstm(torch.randn(4, 1, 3))
print(o, h, c)
att, wts = nn.MultiheadAttention(4, 2, batch_first=True)(*[torch.randn(1, 3, 4)] * 3)
print(att, wts)
print(
    nn.Conv1d(2, 2, 3)(torch.randn(1, 2, 5)),
    nn.MaxPool2d(2)(torch.randn(1, 1, 4, 4, requires_grad=True)),
    nn.BatchNorm1d(3)(torch.randn(4, 3)),
    nn.Dropout(0.5)(torch.ones(6)),
)
print(
    nn.GRU(3, 2)(torch.randn(4, 1, 3))[0],
    nn.RNNCell(3, 2)(torch.randn(1, 3)),
    nn.GRUCell(3, 2)(torch.randn(1, 3)),
    nn.LSTMCell(3, 2)(torch.randn(1, 3)),
)
