"""The names of autograd nodes are PyTorch's, as `print(y)` and `y.grad_fn` show them."""

from __future__ import annotations

import pytest

import rushlight
import rushlight.nn.functional

torch = pytest.importorskip("torch")


class Values:
    """The operands of all cases, made of one library."""

    def __init__(self, lib) -> None:
        def leaf(*shape):
            count = 1
            for n in shape:
                count *= n
            line = lib.arange(1, count + 1, dtype=lib.float32) / (count + 1)
            return line.reshape(shape).requires_grad_()

        self.x, self.w, self.b = leaf(4, 6), leaf(3, 6), leaf(3)
        self.v, self.one = leaf(6), leaf(1)
        self.batch, self.other = leaf(2, 4, 6), leaf(2, 6, 5)
        self.im, self.k = leaf(2, 3, 8, 8), leaf(4, 3, 3, 3)
        self.line = leaf(2, 3, 8)
        self.vol = leaf(1, 2, 4, 4, 4)
        self.square = leaf(4, 4)
        self.y = lib.tensor([0, 1, 2, 0])
        self.mask = self.x.detach() > 0.5
        self.zeros, self.ones = lib.zeros(3), lib.ones(3)
        self.scalar = leaf(1).detach().reshape(()).requires_grad_()


CASES = """
F.linear(x, w, b) | F.linear(x, w) | F.linear(batch, w) | F.linear(v, w)
x @ w.t() | x @ v | v @ v | batch @ other | batch @ w.t() | im @ im | batch @ v | v @ w.t()
t.mm(x, w.t()) | t.bmm(batch, other) | t.mv(x, v) | t.dot(v, v) | t.outer(v, v)
t.addmm(b, x, w.t()) | t.baddbmm(t.zeros(2, 4, 5), batch, other) | t.addmv(t.zeros(4), x, v)
t.einsum('ij,kj->ik', x, w)
F.softmax(x, 1) | x.softmax(1) | t.log_softmax(x, 1) | F.gelu(x) | F.gelu(x, approximate='tanh')
F.silu(x) | F.elu(x) | F.selu(x) | F.celu(x) | F.leaky_relu(x) | F.softplus(x) | F.relu(x)
F.relu6(x) | F.hardtanh(x) | F.hardswish(x) | F.hardsigmoid(x) | F.mish(x) | F.glu(x)
F.logsigmoid(x) | F.softshrink(x) | F.hardshrink(x) | F.threshold(x, 0.1, 0.0) | F.tanhshrink(x)
F.prelu(x, one) | F.softsign(x) | x.sigmoid() | x.tanh() | x.relu()
F.cross_entropy(x[:, :3], y) | F.cross_entropy(x[:, :3], y, reduction='none')
F.cross_entropy(batch, t.zeros(2, 6).long()) | F.cross_entropy(im, t.zeros(2, 8, 8).long())
F.cross_entropy(batch, t.zeros(2, 6).long(), reduction='none') | F.cross_entropy(x[:, :3], y, reduction='sum')
F.cross_entropy(x[:, :3], y, label_smoothing=0.1) | F.nll_loss(F.log_softmax(x, 1), y)
F.mse_loss(x, x * 2) | F.mse_loss(x, x * 2, reduction='sum') | F.l1_loss(x, x * 2)
F.binary_cross_entropy(x, x.detach()) | F.binary_cross_entropy_with_logits(x, x.detach())
F.smooth_l1_loss(x, x * 2) | F.huber_loss(x, x * 2)
F.kl_div(x, x.detach(), reduction='batchmean')
F.layer_norm(x, (6,), v, v) | F.batch_norm(im, zeros, ones, training=True) | F.group_norm(im, 3)
F.batch_norm(im, zeros, ones)
F.conv2d(im, k) | F.conv2d(im, k, t.cat([b, one])) | F.conv2d(im[0], k) | F.conv1d(line, k[:, :, 0]) | F.conv_transpose2d(im, k.transpose(0, 1))
F.max_pool2d(im, 2) | F.max_pool1d(line, 2) | F.avg_pool2d(im, 2) | F.avg_pool1d(line, 2)
F.max_pool3d(vol, 2) | F.avg_pool3d(vol, 2)
F.adaptive_avg_pool2d(im, 1) | F.adaptive_avg_pool2d(im, 2) | F.adaptive_avg_pool1d(line, 2)
F.adaptive_max_pool2d(im, 2) | F.adaptive_max_pool1d(line, 2)
F.dropout(x, 0.5) | F.embedding(y, w) | F.embedding(y, w, padding_idx=0)
F.scaled_dot_product_attention(im, im, im) | F.pad(x, (1, 1)) | F.interpolate(im, scale_factor=2)
F.normalize(x) | F.cosine_similarity(x, x * 2) | F.pairwise_distance(x, x * 2)
F.unfold(im, 2) | F.pixel_shuffle(vol[0].repeat(2, 1, 1, 1), 2)
x.sum() | x.sum(1) | x.sum((0, 1)) | x.mean() | x.mean(1) | x.var() | x.var(1) | x.std() | x.std(1)
x.max() | x.max(1)[0] | x.min() | x.min(1)[0] | x.amax(1) | x.amin(1) | x.prod() | x.prod(1)
x.norm() | x.norm(dim=1) | x.norm(1) | x.logsumexp(1) | x.cumsum(0) | x.cumprod(0)
x.median() | x.median(1)[0] | t.var_mean(x)[0] | t.std_mean(x)[1] | x.nansum()
t.dist(x, x * 2) | x.cummax(1)[0]
x ** 2 | x ** 3 | x ** 0.5 | x ** -1 | x ** 2.5 | 2 ** x | x ** x | x.square() | x.sqrt()
1 - x | 1 + x | 1 / x | 2 * x | x + 1 | x - 1 | x * 2 | x / 2 | x + x | x - x | x * x | x / x
-x | x.abs() | x.exp() | x.log() | x.log1p() | x.expm1() | x.rsqrt() | x.reciprocal() | x.sin()
x.erf() | x.sign() | x.floor() | x.round() | x.frac() | x.atan2(x) | x % 2
x.clamp(0, 1) | x.clamp(min=0) | x.clamp_min(0) | x.clamp_max(1) | x.clamp(x.detach(), x.detach())
t.where(mask, x, x) | t.maximum(x, x * 2) | t.minimum(x, x * 2) | t.lerp(x, x * 2, 0.5)
t.lerp(x, x * 2, x) | t.addcmul(x, x, x) | t.addcdiv(x, x, x) | t.hypot(x, x) | t.logaddexp(x, x)
t.xlogy(x, x) | x.nan_to_num() | x.logit(1e-3) | t.rsub(x, 1) | t.fmod(x, 2) | t.remainder(x, 2)
x.view(24) | x.reshape(3, 8) | x.t().reshape(24) | x.t() | x.T | x.mT | x.transpose(0, 1)
x.permute(1, 0) | x[None].expand(2, 4, 6) | x[None].squeeze(0) | x[None].squeeze() | x.unsqueeze(0)
x[None].squeeze((0,)) | im.flatten(1) | x.ravel() | x.unflatten(1, (2, 3)) | x.swapaxes(0, 1)
im.movedim(1, 0) | x.diagonal() | x.diag() | x.unfold(1, 2, 2) | x.as_strided((2,), (1,))
x[0] | x[1:3] | x[:, 0] | x[1:3, 0] | x[0, 1:3] | x[None] | x[..., 0] | x[:, ::2] | x[...] | x[:]
x[y] | x[:, y] | x[mask] | x[[0, 1]] | x[y, y] | x[0, y] | x.select(0, 1) | x.narrow(0, 1, 2)
t.cat([x, x]) | t.stack([x, x]) | x.split(2)[0] | x.split([1, 3])[1] | x.chunk(2)[0]
x.unbind()[0] | t.hstack([x, x]) | t.vstack([x, x]) | t.tensor_split(x, 2)[0] | list(x)[1]
x.gather(0, y[None, :]) | x.topk(2)[0] | x.sort()[0] | x.kthvalue(1)[0] | x.index_select(0, y)
x.masked_fill(mask, 0.0) | x.masked_fill(mask, scalar) | x.masked_select(mask) | x.take(y)
x.clone() | x.double() | x.t().contiguous() | x.to(t.float64) | x.flip(0) | x.roll(1, 0) | x.roll(1)
x.repeat(2, 1) | x.tile(2) | x.repeat_interleave(2, 0) | x.tril() | x.triu() | t.trace(square)
x.scatter(0, y[None, :], x) | x.scatter_add(0, y[None, :], x) | x.index_add(0, y, x)
x.scatter(0, y[None, :], 1.0) | x.index_copy(0, t.tensor([0, 1, 2, 3]), x) | x.index_fill(0, y, 1.0)
t.linalg.vector_norm(x) | t.linalg.norm(x) | t.cdist(x, w) | t.meshgrid(v, b, indexing='ij')[0]
x.clone().add_(1) | x.clone().mul_(2) | x.clone().relu_() | x.clone().fill_(0)
x.clone().clamp_(0, 1) | x.clone().copy_(x) | t.sigmoid(x).pow(2) | x.clone().masked_fill_(mask, 0)
written(x.clone(), 0) | written(x.clone(), y) | whole(x.clone())
""".replace("\n", " | ").split(" | ")  # fmt: skip


def _written(x, index):
    x[index] = 1.0
    return x


def _whole(x):
    x[0].add_(1)
    return x


def _name(lib, expression: str) -> str:
    scope = {"t": lib, "F": lib.nn.functional, "written": _written, "whole": _whole}
    scope.update(vars(Values(lib)))
    return eval(expression, scope).grad_fn.name()


@pytest.mark.parametrize("expression", [case.strip() for case in CASES if case.strip()])
def test_node_has_pytorch_s_name(expression: str) -> None:
    assert _name(rushlight, expression) == _name(torch, expression)


def test_printed_name_has_no_namespace() -> None:
    x = rushlight.ones(2, requires_grad=True).clone()
    x[0] = 3.0
    assert str(x) == "tensor([3., 1.], grad_fn=<CopySlices>)"


def test_one_position_of_the_program_may_have_several_names() -> None:
    x = rushlight.ones(2, requires_grad=True)

    def name_of(operation) -> str:
        rushlight.ones(1).item()  # a flush: what follows is recorded at the same position
        y = operation(x)
        y.detach().sum().item()
        return y.grad_fn.name()

    for _ in range(2):
        assert name_of(lambda v: v * v) == "MulBackward0"
        assert name_of(lambda v: v.square()) == "PowBackward0"


def test_operation_that_returns_its_operand_keeps_its_name() -> None:
    x = rushlight.ones(2, 2, requires_grad=True)
    y = x * x
    assert y.to(rushlight.float32).contiguous().float().grad_fn.name() == "MulBackward0"


def test_a_nodes_class_is_called_as_it_is():
    found = []
    for lib in (rushlight, torch):
        x = lib.ones(3, 3, requires_grad=True)
        y = (x @ x + 1).relu().sum()
        names, node = [], y.grad_fn
        while node is not None:
            names.append((type(node).__name__, node.name()))
            node = node.next_functions[0][0] if node.next_functions else None
        assert y.grad_fn is y.grad_fn
        assert isinstance(y.grad_fn, lib.autograd.graph.Node)
        found.append(names)
    assert found[0] == found[1]


def test_a_graph_that_was_looked_at_is_differentiated_as_before():
    # In a loop, so that blocks that were replayed are opened and looked at, too.
    losses = []
    for look in (False, True):
        w = rushlight.ones(3, 2, requires_grad=True)
        x = rushlight.arange(6.0).reshape(2, 3)
        for _ in range(6):
            loss = rushlight.nn.functional.gelu(x @ w).softmax(-1)[:, 0].log().square().mean()
            if look:
                assert type(loss.grad_fn).__name__ == "MeanBackward0"
                assert loss.grad_fn.next_functions[0][0] is not None
            loss.backward()
            with rushlight.no_grad():
                w -= 0.1 * w.grad
                w.grad = None
        losses.append((loss.item(), w.tolist()))
    assert losses[0] == losses[1]


def test_nodes_of_single_operations_have_their_names():
    found = []
    for lib in (rushlight, torch):
        x = lib.ones(3, 2, requires_grad=True)
        pairs = lib.view_as_complex(x)
        made = (pairs, lib.view_as_real(pairs), lib.det(x.T @ x), lib.cat([x]))
        found.append([type(y.grad_fn).__name__ for y in made])
    assert found[0] == found[1]
