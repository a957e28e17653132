"""autograd.functional gives PyTorch's derivatives."""

from __future__ import annotations

import pytest

import rushlight as rl

torch = pytest.importorskip("torch")

X = [[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]]
Y = [[1.0, 2.0, -0.5], [0.1, 0.2, 0.3]]


def inputs(module, count):
    made = [module.tensor(v, dtype=module.float64) for v in (X, Y)][:count]
    return made[0] if count == 1 else tuple(made)


def flat(value):
    """Nested tuples of tensors as nested lists, with shapes."""
    if isinstance(value, tuple):
        return [flat(item) for item in value]
    return [tuple(value.shape), value.requires_grad, value.reshape(-1).tolist()]


def close(ours, theirs):
    if isinstance(ours, float):
        return ours == pytest.approx(theirs, rel=1e-12, abs=1e-12)
    if isinstance(ours, (list, tuple)):
        return len(ours) == len(theirs) and all(map(close, ours, theirs))
    return ours == theirs


def check(name, function, count, v=None, **options):
    results = []
    for module in (rl, torch):
        call = getattr(module.autograd.functional, name)
        arguments = [lambda *xs, m=module: function(m, *xs), inputs(module, count)]
        if v is not None:
            arguments.append(v(module))
        results.append(flat(call(*arguments, **options)))
    assert close(results[0], results[1]), results


FUNCTIONS = {
    "elementwise": (lambda m, x: x.exp() * x, 1),
    "sum": (lambda m, x: (x * x * x).sum(), 1),
    "independent": (lambda m, x: m.ones(2, dtype=m.float64), 1),
    "two inputs": (lambda m, x, y: x * y + y, 2),
    "one unused": (lambda m, x, y: x * 2, 2),
    "two outputs": (lambda m, x: (x * x, x.sum()), 1),
    "both": (lambda m, x, y: (x * y, (x + y).sum()), 2),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("create_graph", [False, True])
def test_jacobian(name, create_graph):
    function, count = FUNCTIONS[name]
    check("jacobian", function, count, create_graph=create_graph)


SCALAR = {
    "cubic": (lambda m, x: (x * x * x).sum(), 1),
    "linear": (lambda m, x: x.sum(), 1),
    "mixed": (lambda m, x, y: (x * x * y).sum(), 2),
}


@pytest.mark.parametrize("name", SCALAR)
def test_hessian(name):
    function, count = SCALAR[name]
    check("hessian", function, count)


def shaped(count):
    def make(module):
        ones = tuple(module.full((2, 3), 0.5 + i, dtype=module.float64) for i in range(count))
        return ones[0] if count == 1 else ones

    return make


@pytest.mark.parametrize("name", ["elementwise", "two inputs", "one unused"])
@pytest.mark.parametrize("product", ["vjp", "jvp"])
def test_products_with_a_vector(name, product):
    function, count = FUNCTIONS[name]
    outputs = 1 if product == "vjp" else count
    check(product, function, count, shaped(outputs))


@pytest.mark.parametrize("name", SCALAR)
@pytest.mark.parametrize("product", ["vhp", "hvp"])
def test_products_with_the_hessian(name, product):
    function, count = SCALAR[name]
    check(product, function, count, shaped(count))


def test_vjp_of_a_scalar_needs_no_vector():
    check("vjp", SCALAR["cubic"][0], 1)


def test_jacobian_is_differentiable_under_create_graph():
    results = []
    for module in (rl, torch):
        x = module.tensor([1.0, 2.0], requires_grad=True)
        found = module.autograd.functional.jacobian(lambda t: t * t * t, x, create_graph=True)
        found.sum().backward()
        results.append(x.grad.tolist())
    assert results[0] == results[1] == [6, 12]


def test_gradients_of_the_caller_are_left_alone():
    x = rl.tensor([1.0, 2.0], requires_grad=True)
    rl.autograd.functional.jacobian(lambda t: t * t, x)
    rl.autograd.functional.hessian(lambda t: (t * t).sum(), x)
    assert x.grad is None


@pytest.mark.parametrize(
    "call",
    [
        lambda f, m: f.jacobian(lambda x: 3, m.ones(2)),
        lambda f, m: f.jacobian(lambda x: x, [1]),
        lambda f, m: f.jacobian(lambda x: x, 1),
        lambda f, m: f.hessian(lambda x: x, m.ones(2)),
        lambda f, m: f.vjp(lambda x: x, m.ones(2)),
        lambda f, m: f.jvp(lambda x: x, m.ones(2), m.ones(3)),
        lambda f, m: f.jacobian(lambda x: m.ones(2), m.ones(2), strict=True),
        lambda f, m: f.jacobian(lambda x: x, m.ones(2), strategy="sideways"),
    ],
)
def test_mistakes_raise_pytorchs_exception_type(call):
    kinds = []
    for module in (rl, torch):
        with pytest.raises(Exception) as caught:
            call(module.autograd.functional, module)
        kinds.append(caught.type)
    assert kinds[0] is kinds[1]
