"""Memory handed out to NumPy changes nothing in what backward computes."""

from __future__ import annotations

import pytest

import rushlight


def _leaf():
    return rushlight.tensor([1.0, 2.0, 4.0], dtype=rushlight.float64, requires_grad=True)


def test_a_constant_written_into_a_view_stops_the_gradient_of_shared_memory():
    x = _leaf()
    y = x * 2
    shared = y.detach().numpy()
    y[0] = 0.0
    y.sum().backward()
    assert x.grad.tolist() == [0.0, 2.0, 2.0]
    assert shared.tolist() == [0.0, 4.0, 8.0]


def test_a_view_of_shared_memory_has_the_history_of_later_writes():
    x = _leaf()
    y = x * 2
    view = y[1:]
    shared = y.detach().numpy()
    y.mul_(3)
    view.sum().backward()
    assert x.grad.tolist() == [0.0, 6.0, 6.0]
    assert shared.tolist() == [6.0, 12.0, 24.0]


def test_a_view_made_of_shared_memory_shows_what_numpy_writes_later():
    x = _leaf()
    y = x * 2
    shared = y.detach().numpy()
    view = y[1:]
    shared[1] = 100.0
    assert view.tolist() == [100.0, 8.0]
    view.sum().backward()
    assert x.grad.tolist() == [0.0, 2.0, 2.0]


def test_after_a_write_that_autograd_follows_numpy_still_shows_through():
    x = _leaf()
    y = x * 2
    shared = y.detach().numpy()
    y[:2].mul_(3)
    shared[0] = 50.0
    assert y.tolist() == [50.0, 12.0, 8.0]
    y.sum().backward()
    assert x.grad.tolist() == [6.0, 6.0, 2.0]


@pytest.mark.parametrize("kept", [True, False])
def test_reading_through_numpy_leaves_the_graph_of_views_alone(kept):
    def gradient(read: bool) -> list:
        x = rushlight.tensor([0.1, 0.2, 0.7], dtype=rushlight.float64, requires_grad=True)
        y = x.tanh()
        view = y.reshape(3, 1)
        held = [y.detach().numpy()] if read else []
        if not kept:
            held.clear()
        total = (view.exp() + y.sin().reshape(3, 1)).sum() + (view * view).sum() + y.cos().sum()
        total.backward()
        assert view.grad_fn.next_functions[0][0] is y.grad_fn
        return x.grad.tolist()

    assert gradient(True) == gradient(False)


def test_backward_from_a_view_has_the_history_of_writes_to_its_base():
    x = _leaf()
    y = x * 2
    last = y[2]
    y.mul_(3)
    last.backward()
    assert x.grad.tolist() == [0.0, 0.0, 6.0]


def _stale_view():
    """A view made before its base got a history, and the leaf behind that history."""
    x = _leaf()
    y = rushlight.zeros(3, dtype=rushlight.float64)
    view = y[1:]
    y.add_(x * 3)
    return x, view


def test_a_view_whose_base_got_a_history_is_not_handed_to_numpy():
    _, view = _stale_view()
    with pytest.raises(RuntimeError, match="requires grad"):
        view.numpy()


def test_a_view_whose_base_got_a_history_prints_it():
    _, view = _stale_view()
    assert repr(view).endswith("grad_fn=<AsStridedBackward0>)")


def test_a_view_whose_base_got_a_history_is_written_in_place():
    x, view = _stale_view()
    view.mul_(x[1:])
    view.sum().backward()
    assert x.grad.tolist() == [0.0, 12.0, 24.0]
