"""autograd.grad and autograd.backward, hooks and anomaly mode, as PyTorch's."""

from __future__ import annotations

import warnings

import pytest

import rushlight as rl

torch = pytest.importorskip("torch")


def outcome(body, module):
    try:
        return body(module)
    except Exception as error:
        return type(error).__name__, str(error)


def same(body):
    ours, theirs = outcome(body, rl), outcome(body, torch)
    assert ours == theirs
    return ours


def leaf(module, values=(1.0, 2.0)):
    return module.tensor(list(values), requires_grad=True)


CASES = {
    "one": lambda m, x, y: m.autograd.grad((x * x).sum(), x),
    "two inputs": lambda m, x, y: m.autograd.grad((x * y).sum(), [x, y]),
    "two outputs": lambda m, x, y: m.autograd.grad([(x * y).sum(), (x * 2).sum()], (x, y)),
    "an input twice": lambda m, x, y: m.autograd.grad((x * y).sum(), (x, x)),
    "with cotangent": lambda m, x, y: m.autograd.grad(x * y, x, m.tensor([1.0, 10.0])),
    "cotangent list": lambda m, x, y: m.autograd.grad([x * y], [x], [m.ones(2)]),
    "unused allowed": lambda m, x, y: m.autograd.grad(x.sum(), y, allow_unused=True),
    "unused": lambda m, x, y: m.autograd.grad(x.sum(), y),
    "unused second": lambda m, x, y: m.autograd.grad(x.sum(), (x, y)),
    "materialized": lambda m, x, y: m.autograd.grad(x.sum(), y, materialize_grads=True),
    "contradiction": lambda m, x, y: m.autograd.grad(
        x.sum(), y, materialize_grads=True, allow_unused=False
    ),
    "batched": lambda m, x, y: m.autograd.grad(x * y, x, m.eye(2), is_grads_batched=True),
    "no inputs": lambda m, x, y: m.autograd.grad(x.sum(), []),
    "no graph": lambda m, x, y: m.autograd.grad(x.detach().sum(), x),
    "input without grad": lambda m, x, y: m.autograd.grad(x.sum(), y.detach()),
    "not a scalar": lambda m, x, y: m.autograd.grad(x * y, x),
    "cotangent size": lambda m, x, y: m.autograd.grad(x * y, x, m.ones(3)),
    "cotangent None": lambda m, x, y: m.autograd.grad(x * y, x, [None]),
    "cotangent count": lambda m, x, y: m.autograd.grad((x * y).sum(), x, [None, None]),
    "backward count": lambda m, x, y: m.autograd.backward([x.sum(), y.sum()], [None]),
    "backward no inputs": lambda m, x, y: m.autograd.backward(x.sum(), inputs=[]),
    "backward no graph": lambda m, x, y: m.autograd.backward([x.sum(), x.detach().sum()]),
}


@pytest.mark.parametrize("name", CASES)
def test_grad_and_backward_give_pytorchs_results_and_errors(name):
    def body(module):
        x, y = leaf(module), leaf(module, (3.0, 4.0))
        return repr(CASES[name](module, x, y)), repr(x.grad), repr(y.grad)

    same(body)


def test_grad_of_an_intermediate_result():
    def body(module):
        x = leaf(module)
        middle = x * 3
        out = (middle * middle).sum()
        return repr(module.autograd.grad(out, (middle, x))), x.grad

    same(body)


def test_backward_takes_several_roots_and_chosen_inputs():
    def body(module):
        x, y = leaf(module), leaf(module)
        middle = x * y
        module.autograd.backward([middle, middle.sum()], [module.ones(2), None], inputs=[x, middle])
        return x.grad.tolist(), y.grad, middle.grad.tolist()

    same(body)


def test_higher_derivatives():
    def body(module):
        x = leaf(module)
        values = []
        current = (x * x * x * x).sum()
        for _ in range(4):
            (current,) = module.autograd.grad(current.sum(), x, create_graph=True)
            values.append(current.tolist())
        return values

    assert same(body)[3] == [24, 24]


def test_a_graph_is_freed_unless_retained():
    def body(module):
        x = leaf(module)
        out = (x * x).sum()
        module.autograd.grad(out, x, retain_graph=True)
        module.autograd.grad(out, x)
        module.autograd.grad(out, x)

    assert same(body)[0] == "RuntimeError"


def test_gradient_edges_stand_for_tensors():
    x = leaf(rl)
    edge = rl.autograd.graph.get_gradient_edge(x)
    (gradient,) = rl.autograd.grad((x * x).sum(), edge)
    assert gradient.tolist() == [2, 4]


def test_variable_is_the_old_name_of_a_tensor():
    def body(module):
        variable = module.autograd.Variable(module.ones(2), requires_grad=True)
        (variable * 3).sum().backward()
        return isinstance(variable, module.autograd.Variable), variable.grad.tolist()

    assert same(body) == (True, [3, 3])


# ---- hooks ---------------------------------------------------------------------------------------


def test_tensor_hooks_run_in_order_and_may_replace_the_gradient():
    def body(module):
        seen = []
        x = leaf(module)
        middle = x * 3
        middle.register_hook(lambda g: seen.append(("middle", g.tolist())))
        middle.register_hook(lambda g: g * 2)
        middle.register_hook(lambda g: seen.append(("middle again", g.tolist())))
        x.register_hook(lambda g: seen.append(("leaf", g.tolist())))
        x.register_post_accumulate_grad_hook(lambda t: seen.append(("after", t.grad.tolist())))
        middle.retain_grad()
        middle.sum().backward()
        return seen, x.grad.tolist(), middle.grad.tolist()

    assert same(body)[1] == [6, 6]


def test_hook_handles_remove_their_hook():
    def body(module):
        x = leaf(module)
        with x.register_hook(lambda g: g * 100):
            (x * 2).sum().backward()
        handle = x.register_hook(lambda g: g * 10)
        handle.remove()
        handle.remove()
        (x * 2).sum().backward()
        return x.grad.tolist()

    assert same(body) == [202, 202]


def test_hooks_apply_to_autograd_grad():
    def body(module):
        x = leaf(module)
        x.register_hook(lambda g: g * 10)
        return repr(module.autograd.grad((x * x).sum(), x))

    same(body)


def test_node_hooks_see_and_replace_gradients():
    def body(module):
        seen = []
        x = leaf(module)
        out = x.exp()
        node = out.grad_fn
        node.register_prehook(lambda outputs: (outputs[0] * 2,))
        node.register_hook(lambda inputs, outputs: seen.append(outputs[0].tolist()))
        node.register_hook(lambda inputs, outputs: (inputs[0] * 0 + 7,))
        out.sum().backward()
        return seen, x.grad.tolist()

    assert same(body) == ([[2, 2]], [7, 7])


def test_hooks_on_the_accumulating_node():
    def body(module):
        seen = []
        x = leaf(module)
        node = (x * 1).grad_fn.next_functions[0][0]
        node.register_hook(lambda inputs, outputs: seen.append(outputs[0].tolist()))
        (x * 3).sum().backward()
        return seen, node.name(), node.variable is x

    same(body)


def test_hook_mistakes_are_refused_as_pytorch_does():
    cases = [
        lambda m, x: x.detach().register_hook(print),
        lambda m, x: x.detach().register_post_accumulate_grad_hook(print),
        lambda m, x: (x * 1).register_post_accumulate_grad_hook(print),
        lambda m, x: x.detach().retain_grad(),
    ]
    for case in cases:
        kind, _ = same(lambda module, case=case: case(module, leaf(module)))
        assert kind == "RuntimeError"


def test_metadata_belongs_to_the_node():
    node = (leaf(rl) * 2).grad_fn
    node.metadata["note"] = 1
    assert node.metadata == {"note": 1}
    assert isinstance(node, rl.autograd.graph.Node)


# ---- anomaly mode --------------------------------------------------------------------------------


def test_anomaly_mode_names_the_function_and_the_forward_line():
    x = rl.zeros(1, requires_grad=True)
    with warnings.catch_warnings(), pytest.raises(RuntimeError) as caught:
        warnings.simplefilter("ignore")
        with rl.autograd.set_detect_anomaly(True):
            out = (x.sqrt() * 0).sum()  # 0 * inf
            out.backward()
    assert "Function 'SqrtBackward0' returned nan values in its 0th output." in str(caught.value)
    assert "test_grad.py:" in str(caught.value)


def test_anomaly_mode_is_restored():
    assert not rl.autograd.anomaly_mode.is_anomaly_enabled()
    with pytest.warns(UserWarning, match="Anomaly Detection has been enabled"):
        mode = rl.autograd.detect_anomaly()
    with mode:
        assert rl.autograd.anomaly_mode.is_anomaly_enabled()
    assert not rl.autograd.anomaly_mode.is_anomaly_enabled()
    rl.autograd.set_detect_anomaly(True)
    assert rl.autograd.anomaly_mode.is_anomaly_enabled()
    rl.autograd.set_detect_anomaly(False)


def test_without_anomaly_mode_nan_passes():
    x = rl.zeros(1, requires_grad=True)
    (x.sqrt() * 0).sum().backward()
    assert x.grad.tolist()[0] != x.grad.tolist()[0]


def test_anomaly_mode_names_the_line_of_a_custom_function():
    class Failing(rl.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1

        @staticmethod
        def backward(ctx, gradient):
            raise ValueError("broken")

    with rl.autograd.set_detect_anomaly(True):
        out = Failing.apply(leaf(rl)).sum()
        with (
            pytest.warns(UserWarning, match=r"Error detected in FailingBackward.*test_grad\.py:"),
            pytest.raises(ValueError, match="broken"),
        ):
            out.backward()
