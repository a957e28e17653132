"""autograd.Function behaves as PyTorch's, errors included.

Each test runs one body with both modules; what the bodies return or raise must be equal.
"""

from __future__ import annotations

import gc
import weakref

import pytest

import rushlight as rl

torch = pytest.importorskip("torch")

BOTH = [rl, torch]


def outcome(body, module):
    """What a body gives: its lists and texts, or the type and text of its error."""
    try:
        return body(module)
    except Exception as error:
        return type(error).__name__, str(error)


def same(body):
    ours, theirs = outcome(body, rl), outcome(body, torch)
    assert ours == theirs
    return ours


def product(module):
    class Product(module.autograd.Function):
        @staticmethod
        def forward(ctx, x, y, scale):
            ctx.scale = scale
            ctx.save_for_backward(x, y)
            return x * y * scale

        @staticmethod
        def backward(ctx, gradient):
            x, y = ctx.saved_tensors
            return gradient * y * ctx.scale, gradient * x * ctx.scale, None

    return Product


def leaf(module, values=(1.0, 2.0)):
    return module.tensor(list(values), requires_grad=True)


def test_gradients_flow_through_forward_and_backward():
    def body(module):
        x, y = leaf(module), leaf(module, (3.0, 4.0))
        out = product(module).apply(x, y, 2.0)
        out.sum().backward()
        return repr(out), x.grad.tolist(), y.grad.tolist(), out.grad_fn.name()

    assert same(body)[1] == [6, 8]


def test_the_graph_node_shows_its_context():
    def body(module):
        x, y = leaf(module), leaf(module)
        node = product(module).apply(x, y, 2.0).grad_fn
        names = [target.name() for target, _ in node.next_functions]
        return type(node).__name__, names, node.scale, node.saved_tensors[0] is x

    assert same(body)[3] is True


def test_needs_input_grad_says_which_inputs_matter():
    def body(module):
        seen = []

        class Watch(module.autograd.Function):
            @staticmethod
            def forward(ctx, x, y, k):
                seen.append((ctx.needs_input_grad, x.requires_grad, module.is_grad_enabled()))
                return x + y

            @staticmethod
            def backward(ctx, gradient):
                return gradient, None, None

        Watch.apply(leaf(module), module.ones(2), 3)
        return seen

    same(body)


def test_double_backward_differentiates_the_users_backward():
    def body(module):
        class Cube(module.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                ctx.save_for_backward(x)
                return x * x * x

            @staticmethod
            def backward(ctx, gradient):
                (x,) = ctx.saved_tensors
                return 3 * x * x * gradient

        x = leaf(module)
        (first,) = module.autograd.grad(Cube.apply(x).sum(), x, create_graph=True)
        (second,) = module.autograd.grad(first.sum(), x)
        return first.tolist(), second.tolist()

    assert same(body) == ([3, 12], [6, 12])


def test_a_saved_output_carries_its_history():
    def body(module):
        class Exponential(module.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                out = x.exp()
                ctx.save_for_backward(out)
                return out

            @staticmethod
            def backward(ctx, gradient):
                (out,) = ctx.saved_tensors
                return out * gradient

        x = module.tensor([0.0, 0.0], requires_grad=True)
        (first,) = module.autograd.grad(Exponential.apply(x).sum(), x, create_graph=True)
        (second,) = module.autograd.grad(first.sum(), x)
        return first.tolist(), second.tolist()

    assert same(body) == ([1, 1], [1, 1])


def several(module, materialize=True):
    seen = []

    class Several(module.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.set_materialize_grads(materialize)
            mask = x > 1
            ctx.mark_non_differentiable(mask)
            return x * 2, mask, x + 1, "text"

        @staticmethod
        def backward(ctx, *gradients):
            seen.append([None if g is None else g.tolist() for g in gradients])
            return gradients[0]

    return Several, seen


@pytest.mark.parametrize("materialize", [True, False])
def test_outputs_nobody_used_come_as_zeros_or_none(materialize):
    def body(module):
        function, seen = several(module, materialize)
        doubled, mask, plus, text = function.apply(leaf(module))
        doubled.sum().backward()
        return seen, mask.requires_grad, plus.requires_grad, text, repr(plus)

    same(body)


def test_setup_context_takes_inputs_and_output():
    def body(module):
        class Scaled(module.autograd.Function):
            @staticmethod
            def forward(x, scale=3.0):
                return x * scale

            @staticmethod
            def setup_context(ctx, inputs, output):
                ctx.scale = inputs[1]
                ctx.shape = tuple(output.shape)

            @staticmethod
            def backward(ctx, gradient):
                return gradient * ctx.scale, None

        x = leaf(module)
        out = Scaled.apply(x, 3.0)
        out.sum().backward()
        return x.grad.tolist(), out.grad_fn.shape

    same(body)


RETURNS = {
    "too few": lambda m, g: g,
    "not None for a number": lambda m, g: (g, g),
    "a trailing None": lambda m, g: (g, None, None),
    "too many": lambda m, g: (g, None, g),
    "a number": lambda m, g: (3, None),
    "a scalar": lambda m, g: (g.sum(), None),
    "another size": lambda m, g: (m.ones(3), None),
    "a broadcast size": lambda m, g: (m.ones(3, 2), None),
    "nothing": lambda m, g: (None, None),
    "another dtype": lambda m, g: (g.double(), None),
}


@pytest.mark.parametrize("name", RETURNS)
def test_what_backward_returns_is_checked(name):
    def body(module):
        class Returns(module.autograd.Function):
            @staticmethod
            def forward(ctx, x, k):
                return x * k

            @staticmethod
            def backward(ctx, gradient):
                return RETURNS[name](module, gradient)

        x = leaf(module)
        Returns.apply(x, 2).sum().backward()
        return repr(x.grad)

    same(body)


def test_an_input_returned_as_it_is_becomes_another_tensor():
    def body(module):
        class Passing(module.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                return x

            @staticmethod
            def backward(ctx, gradient):
                return gradient * 5

        x = leaf(module)
        out = Passing.apply(x)
        out.sum().backward()
        return out is x, repr(out), x.grad.tolist(), x.is_leaf

    same(body)


def dirty(module, marked_only=False):
    class Doubling(module.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.mark_dirty(x)
            if marked_only:
                return x * 2
            x.mul_(2)
            return x

        @staticmethod
        def backward(ctx, gradient):
            return gradient * 2

    return Doubling


def test_an_input_changed_in_place_gets_the_new_history():
    def body(module):
        x = leaf(module)
        middle = x * 3
        out = dirty(module).apply(middle)
        out.sum().backward()
        return out is middle, middle.tolist(), x.grad.tolist(), middle.grad_fn.name()

    assert same(body)[2] == [6, 6]


@pytest.mark.parametrize("case", ["leaf", "not returned"])
def test_in_place_mistakes_are_refused(case):
    def body(module):
        x = leaf(module)
        if case == "leaf":
            return dirty(module).apply(x)
        return dirty(module, marked_only=True).apply(x * 1)

    assert same(body)[0] == "RuntimeError"


def test_a_saved_tensor_changed_in_place_is_noticed():
    def body(module):
        x, y = leaf(module), leaf(module)
        middle = x * 1
        out = product(module).apply(middle, y, 1.0)
        middle.add_(1)
        out.sum().backward()

    kind, text = outcome(body, rl)
    assert (kind, text) == outcome(body, torch)
    assert "modified by an inplace operation: [torch.FloatTensor [2]]" in text


def test_a_saved_output_changed_in_place_is_noticed():
    def body(module):
        class Saving(module.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                out = x * 2
                ctx.save_for_backward(out)
                return out

            @staticmethod
            def backward(ctx, gradient):
                return ctx.saved_tensors[0] * gradient

        out = Saving.apply(leaf(module))
        out.add_(1)
        out.sum().backward()

    assert "which is output 0 of Saving" in same(body)[1]


def test_the_graph_is_freed_unless_retained():
    def body(module):
        x, y = leaf(module), leaf(module)
        out = product(module).apply(x, y, 1.0).sum()
        out.backward(retain_graph=True)
        out.backward()
        try:
            out.backward()
        except RuntimeError as error:
            return x.grad.tolist(), str(error)

    assert "backward through the graph a second time" in same(body)[1]


def test_only_tensors_can_be_saved():
    def body(module):
        class Saving(module.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                ctx.save_for_backward(x, None, 3)
                return x * 1

        Saving.apply(leaf(module))

    assert same(body)[0] == "TypeError"


def test_forward_and_backward_must_be_defined():
    def no_backward(module):
        class Half(module.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                return x * 1

        Half.apply(leaf(module)).sum().backward()

    def no_forward(module):
        class Empty(module.autograd.Function):
            pass

        Empty.apply(leaf(module))

    assert same(no_backward)[0] == "NotImplementedError"
    assert same(no_forward)[0] == "NotImplementedError"


def test_once_differentiable_refuses_a_second_derivative():
    def body(module):
        class Square(module.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                ctx.save_for_backward(x)
                return x * x

            @staticmethod
            @module.autograd.function.once_differentiable
            def backward(ctx, gradient):
                return 2 * ctx.saved_tensors[0] * gradient

        x = leaf(module)
        cotangent = module.ones(2, requires_grad=True)
        (first,) = module.autograd.grad(Square.apply(x), x, cotangent, create_graph=True)
        assert first.tolist() == [2, 4]
        first.sum().backward()

    assert "once_differentiable" in same(body)[1]


def test_without_gradients_outputs_have_no_history():
    def body(module):
        x, y = leaf(module), leaf(module)
        with module.no_grad():
            inside = product(module).apply(x, y, 1.0)
        plain = product(module).apply(module.ones(2), module.ones(2), 1.0)
        return inside.requires_grad, plain.requires_grad, inside.grad_fn

    same(body)


def test_keyword_arguments_are_bound_to_forward():
    def body(module):
        x, y = leaf(module), leaf(module)
        out = product(module).apply(x, scale=2.0, y=y)
        out.sum().backward()
        return x.grad.tolist()

    assert outcome(body, rl) == [2, 4]


def test_lists_and_other_objects_come_back_as_they_are():
    def body(module):
        class Lists(module.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                return [x * 1, x * 2]

        found = Lists.apply(leaf(module))
        return type(found).__name__, [t.requires_grad for t in found]

    same(body)


def test_a_graph_with_a_custom_node_is_freed_without_the_garbage_collector():
    x, y = leaf(rl), leaf(rl)
    gc.collect()
    gc.disable()
    try:
        out = product(rl).apply(x * 1, y, 1.0)
        reference = weakref.ref(out.grad_fn)
        out.sum().backward()
        del out
        assert reference() is None
    finally:
        gc.enable()


def test_hooks_on_a_custom_node_see_both_sides():
    def body(module):
        seen = []
        x, y = leaf(module), leaf(module)
        out = product(module).apply(x, y, 1.0)
        out.grad_fn.register_hook(
            lambda before, after: seen.append(
                ([g.tolist() for g in before], [g.tolist() for g in after])
            )
        )
        out.register_hook(lambda g: g * 10)
        out.sum().backward()
        return seen, x.grad.tolist()

    ours = outcome(body, rl)
    theirs = outcome(body, torch)
    assert ours[1] == theirs[1]
    assert ours[0][0][0][:2] == theirs[0][0][0][:2]
