"""Random tensors and in-place filling equal PyTorch's, with its errors and warnings."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import rushlight  # noqa: E402
from rushlight.ops.creation import value_of  # noqa: E402

FLOATS = ["float32", "float64", "float16", "bfloat16"]
_PATTERNS = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64, 16: np.uint64}


def seeded(seed=7):
    torch.manual_seed(seed)
    rushlight.manual_seed(seed)


def bits_of_torch(values):
    if values.is_complex():
        values = torch.view_as_real(values)
    kind = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[values.element_size()]
    array = values.contiguous().view(kind).numpy()
    return array.view(_PATTERNS[array.itemsize])


def assert_same(ours, theirs):
    assert tuple(ours.shape) == tuple(theirs.shape)
    assert repr(ours.dtype) == repr(theirs.dtype)
    expected = bits_of_torch(theirs)
    array = np.ascontiguousarray(value_of(ours))
    got = array.reshape(-1).view(expected.dtype).reshape(expected.shape)
    np.testing.assert_array_equal(got, expected)


def same_stream():
    np.testing.assert_array_equal(
        value_of(rushlight.get_rng_state()), torch.get_rng_state().numpy()
    )


NEW = [
    "rand(3, 5)",
    "rand((3, 5))",
    "rand([20])",
    "rand(size=(2, 3))",
    "rand(())",
    "rand(0, 3)",
    "rand(4, 5, dtype=t.float64)",
    "rand(40, dtype=t.bfloat16)",
    "rand(40, dtype=t.complex64)",
    "randn(5)",
    "randn(4, 5)",
    "randn(17, dtype=t.float16)",
    "randn(17, dtype=t.bfloat16)",
    "randn(7, 7, dtype=t.float64)",
    "randn(7, dtype=t.complex64)",
    "randn(40, dtype=t.complex128)",
    "randint(10, (3, 4))",
    "randint(3, 10, (3, 4))",
    "randint(3, 10, [4])",
    "randint(low=-3, high=10, size=(4,))",
    "randint(high=10, size=(4,))",
    "randint(2**40, (5,))",
    "randint(0, 2, (9,), dtype=t.bool)",
    "randint(0, 255, (9,), dtype=t.uint8)",
    "randint(0, 9, (9,), dtype=t.float16)",
    "randperm(20)",
    "randperm(1)",
    "randperm(0)",
    "randperm(9, dtype=t.int32)",
    "randperm(9, dtype=t.bfloat16)",
    "normal(1.0, 2.0, (3, 4))",
    "normal(0, 2, size=(20,), dtype=t.float64)",
    "normal(t.ones(3, 4), 2.0)",
    "normal(1.0, t.full((20,), 0.3))",
    "normal(t.ones(3, 1), t.ones(4))",
    "normal(t.ones(20, dtype=t.float64), t.ones(20))",
    "rand_like(t.zeros(3, 4))",
    "rand_like(t.zeros(3, 4), dtype=t.float64)",
    "randn_like(t.zeros(3, 4))",
    "randn_like(t.zeros(30, dtype=t.bfloat16))",
    "randint_like(t.zeros(3, 4), 9)",
    "randint_like(t.zeros(3, 4), -4, 9, dtype=t.int64)",
    "bernoulli(t.full((3, 9), 0.3))",
    "bernoulli(t.full((3, 9), 0.3, dtype=t.float64))",
    "bernoulli(t.zeros(9), 0.4)",
    "zeros(9).bernoulli(0.4)",
    "multinomial(t.tensor([0.1, 0.2, 3.0]), 2)",
    "multinomial(t.tensor([[0.1, 0.2, 3.0], [1.0, 0.0, 0.0]]), 9, True)",
    "multinomial(t.ones(4, dtype=t.float64), 1)",
    "ones(2, 4).multinomial(3)",
    "multinomial(t.ones(0, 3), 2)",
    "poisson(t.full((3, 9), 4.0))",
    "poisson(t.full((9,), 40.0, dtype=t.float64))",
]


@pytest.mark.parametrize("expression", NEW)
def test_a_new_random_tensor_equals_pytorchs(expression):
    seeded()
    for _ in range(2):
        assert_same(
            eval("t." + expression, {"t": rushlight}), eval("t." + expression, {"t": torch})
        )
    same_stream()


FILLS = [
    "normal_()",
    "normal_(1.5, 0.25)",
    "normal_(mean=1.5, std=0.25)",
    "uniform_()",
    "uniform_(-1, 3)",
    "uniform_(**{'from': -1.0, 'to': 3.0})",
    "exponential_()",
    "exponential_(0.3)",
    "cauchy_(1.0, 2.0)",
    "log_normal_(0.0, 0.25)",
    "geometric_(0.25)",
    "bernoulli_()",
    "bernoulli_(0.8)",
    "random_()",
    "random_(50)",
    "random_(-20, 50)",
    "random_(**{'from': 3, 'to': 9})",
    "random_(-20, None)",
]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("fill", FILLS)
def test_filling_in_place_equals_pytorch(fill, dtype):
    seeded()
    for shape in ((), (5,), (4, 5), (0, 3), (3, 4, 5)):
        ours = rushlight.zeros(shape, dtype=getattr(rushlight, dtype))
        theirs = torch.zeros(shape, dtype=getattr(torch, dtype))
        assert eval(f"x.{fill}", {"x": ours}) is ours
        eval(f"x.{fill}", {"x": theirs})
        assert_same(ours, theirs)
    same_stream()


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int32", "int64", "bool"])
@pytest.mark.parametrize("fill", ["random_()", "random_(2)", "random_(0, 2)", "bernoulli_(0.3)"])
def test_filling_integers_in_place_equals_pytorch(fill, dtype):
    seeded()
    ours = rushlight.zeros(40, dtype=getattr(rushlight, dtype))
    theirs = torch.zeros(40, dtype=getattr(torch, dtype))
    eval(f"x.{fill}", {"x": ours})
    eval(f"x.{fill}", {"x": theirs})
    assert_same(ours, theirs)


def test_filling_complex_numbers_equals_pytorch():
    seeded()
    for fill in ("normal_", "uniform_"):
        ours = getattr(rushlight.zeros(4, 5, dtype=rushlight.complex64), fill)()
        assert_same(ours, getattr(torch.zeros(4, 5, dtype=torch.complex64), fill)())


VIEWS = [
    lambda x: x.transpose(0, 1),
    lambda x: x[1],
    lambda x: x[:, 1:3],
    lambda x: x[::2],
    lambda x: x.permute(2, 0, 1),
    lambda x: x[..., 1],
]


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("fill", ["normal_", "uniform_", "random_", "bernoulli_"])
def test_filling_a_view_writes_its_base_in_memory_order(fill, view):
    seeded()
    ours, theirs = rushlight.zeros(6, 5, 4), torch.zeros(6, 5, 4)
    getattr(view(ours), fill)()
    getattr(view(theirs), fill)()
    assert_same(ours, theirs)


def test_probabilities_in_a_tensor_broadcast_over_the_destination():
    seeded()
    chances = [0.1, 0.5, 0.9]
    ours = rushlight.zeros(4, 3).bernoulli_(rushlight.tensor(chances))
    assert_same(ours, torch.zeros(4, 3).bernoulli_(torch.tensor(chances)))
    ours = rushlight.zeros(3, 4).transpose(0, 1).bernoulli_(rushlight.tensor(chances))
    assert_same(ours, torch.zeros(3, 4).transpose(0, 1).bernoulli_(torch.tensor(chances)))


def test_like_a_transposed_tensor_draws_in_its_memory_order():
    seeded()
    for name in ("rand_like", "randn_like", "bernoulli"):
        ours = getattr(rushlight, name)(rushlight.zeros(6, 5).transpose(0, 1))
        assert_same(ours, getattr(torch, name)(torch.zeros(6, 5).transpose(0, 1)))


def test_out_is_resized_and_decides_the_dtype():
    seeded()
    for make in (
        lambda t: t.rand(2, out=t.zeros(3)),
        lambda t: t.randn(3, out=t.zeros(3, dtype=t.float64)),
        lambda t: t.randint(0, 10, (2,), out=t.zeros(0)),
        lambda t: t.randperm(4, out=t.zeros(0, dtype=t.int32)),
        lambda t: t.bernoulli(t.full((3,), 0.5), out=t.zeros(3)),
        lambda t: t.normal(t.zeros(3), 1.0, out=t.zeros(3)),
        lambda t: t.multinomial(t.ones(3), 2, out=t.zeros(2, dtype=t.int64)),
    ):
        assert_same(make(rushlight), make(torch))


def test_requires_grad_makes_a_leaf():
    made = rushlight.randn(3, requires_grad=True)
    assert made.requires_grad
    assert made.is_leaf


# ---- errors ------------------------------------------------------------------------------------

SAME_MESSAGE = [
    "zeros(3).uniform_(2, 1)",
    "zeros(3).uniform_(float('nan'), 1)",
    "zeros(3).uniform_(-3e38, 3e38)",
    "zeros(3, dtype=t.half).uniform_(-1e6, 1)",
    "zeros(3, dtype=t.int64).uniform_()",
    "zeros(3, dtype=t.int64).normal_()",
    "zeros(3).normal_(0, -1)",
    "zeros(3).bernoulli_(2)",
    "zeros(3).bernoulli_(-0.1)",
    "zeros(3).exponential_(0)",
    "zeros(3, dtype=t.int64).exponential_()",
    "zeros(3).geometric_(0)",
    "zeros(3).geometric_(1)",
    "zeros(3, dtype=t.complex64).geometric_(0.5)",
    "zeros(3).cauchy_(0, 0)",
    "zeros(3).log_normal_(0, 0)",
    "zeros(3, dtype=t.int64).log_normal_()",
    "zeros(3).random_(5, 2)",
    "zeros(3).random_(0)",
    "zeros(3, dtype=t.uint8).random_(0, 300)",
    "zeros(3, dtype=t.complex64).random_()",
    "zeros(3, requires_grad=True).normal_()",
    "randint(0, 0, (2,))",
    "randint(5, 2, (2,))",
    "randint(300, (2,), dtype=t.uint8)",
    "randint(3, (2,), dtype=t.bool)",
    "randint(3, (2,), dtype=t.complex64)",
    "randint(3, (2,), requires_grad=True)",
    "rand(2, dtype=t.int64)",
    "randn(2, dtype=t.bool)",
    "rand_like(t.zeros(3, dtype=t.int64))",
    "randperm(3, dtype=t.bool)",
    "normal(0, -1, (2,))",
    "normal(t.zeros(3), t.tensor([-1.0, 1, 1]))",
    "normal(t.zeros(3, dtype=t.int64), 1.0)",
    "bernoulli(t.zeros(3, dtype=t.int64))",
    "multinomial(t.zeros(3, dtype=t.int64), 1)",
    "multinomial(t.ones(3), 2, out=t.zeros(2, dtype=t.float64))",
    "poisson(t.zeros(3, dtype=t.int64))",
]

SAME_TYPE = [
    "randperm(-1)",
    "randperm(300, dtype=t.uint8)",
    "rand(-1)",
    "rand()",
    "rand(2.5)",
    "rand((2,), (3,))",
    "rand(2, generator=3)",
    "rand(2, device='cuda')",
    "rand(2, pin_memory=True)",
    "randn(3, out=t.zeros(0, dtype=t.float64), dtype=t.float32)",
    "bernoulli(t.tensor([2.0]))",
    "bernoulli(t.zeros(3), p=2.0)",
    "normal(0.0, 1.0)",
    "normal(0.0, 1.0, 2)",
    "normal(t.zeros(2, 3), t.ones(2))",
    "multinomial(t.ones(3), 4)",
    "multinomial(t.ones(3), 0)",
    "multinomial(t.ones(3, 3, 3), 1)",
    "multinomial(t.ones(3, 0), 1)",
    "multinomial(t.tensor([-1.0, 2]), 3, True)",
    "multinomial(t.tensor([0.0, 0]), 3, True)",
    "multinomial(t.tensor([float('inf'), 0]), 1)",
    "poisson(t.tensor([-1.0]))",
    "zeros(3).bernoulli_(t.ones(4))",
    "zeros(3).bernoulli_(t.ones(1, 3))",
    "zeros(3).expand(2, 3).normal_()",
    "Generator(device='cuda')",
    "Generator().manual_seed(1.5)",
    "Generator().manual_seed(2**64)",
    "Generator().set_state(t.zeros(3))",
    "Generator().set_state(t.zeros(3, dtype=t.uint8))",
    "Generator().set_state(3)",
    "manual_seed('a')",
    "manual_seed(2**64)",
]


def raised(expression, library):
    with pytest.raises(Exception) as caught:
        eval("t." + expression, {"t": library})
    return caught.value


@pytest.mark.parametrize("expression", SAME_MESSAGE)
def test_a_refused_call_raises_pytorchs_error_with_its_words(expression):
    ours, theirs = raised(expression, rushlight), raised(expression, torch)
    assert type(ours) is type(theirs)
    assert str(ours) == str(theirs)


@pytest.mark.parametrize("expression", SAME_TYPE)
def test_a_refused_call_raises_pytorchs_type_of_error(expression):
    ours, theirs = raised(expression, rushlight), raised(expression, torch)
    assert type(ours) is type(theirs)
    assert str(ours)


def test_a_refused_call_draws_nothing():
    rushlight.manual_seed(1)
    before = value_of(rushlight.get_rng_state()).copy()
    for expression in SAME_MESSAGE:
        raised(expression, rushlight)
    np.testing.assert_array_equal(before, value_of(rushlight.get_rng_state()))


def test_integers_that_a_float_cannot_hold_warn():
    with pytest.warns(UserWarning, match=r"to - 1 is out of bounds \[-\(2\^11\), 2\^11\]"):
        rushlight.zeros(2, dtype=rushlight.float16).random_(0, 3000)


# ---- generators --------------------------------------------------------------------------------


def test_a_generator_draws_its_own_stream():
    ours = rushlight.Generator().manual_seed(5)
    theirs = torch.Generator().manual_seed(5)
    seeded()
    for _ in range(2):
        assert_same(rushlight.randn(3, generator=ours), torch.randn(3, generator=theirs))
        assert_same(rushlight.rand(3), torch.rand(3))
    assert ours.initial_seed() == 5
    assert str(ours.device) == "cpu"


def test_a_state_can_be_taken_and_set():
    generator = rushlight.Generator().manual_seed(5)
    rushlight.randn(3, generator=generator)
    state = generator.get_state()
    assert state.dtype is rushlight.uint8
    assert tuple(state.shape) == (5056,)
    first = rushlight.randn(9, generator=generator).tolist()
    generator.set_state(state)
    assert rushlight.randn(9, generator=generator).tolist() == first


def test_a_generator_survives_pickling_and_cloning():
    generator = rushlight.Generator().manual_seed(5)
    rushlight.randn(3, generator=generator)
    others = [pickle.loads(pickle.dumps(generator)), generator.clone_state()]
    first = rushlight.randn(9, generator=generator).tolist()
    for other in others:
        assert other.initial_seed() == 5
        assert rushlight.randn(9, generator=other).tolist() == first


def test_fork_rng_leaves_the_stream_where_it_was():
    rushlight.manual_seed(4)
    with rushlight.random.fork_rng():
        inside = rushlight.rand(3).tolist()
        rushlight.manual_seed(99)
    assert rushlight.rand(3).tolist() == inside
    assert rushlight.initial_seed() == 4


def test_seed_from_the_system_changes_the_stream():
    seed = rushlight.seed()
    assert rushlight.initial_seed() == seed
    first = rushlight.rand(3).tolist()
    rushlight.manual_seed(seed)
    assert rushlight.rand(3).tolist() == first


def test_numbers_do_not_depend_on_what_is_read():
    rushlight.manual_seed(4)
    first, second = rushlight.rand(3), rushlight.randn(3)
    late = second.tolist(), first.tolist()
    rushlight.manual_seed(4)
    early_first = rushlight.rand(3).tolist()
    assert (rushlight.randn(3).tolist(), early_first) == late


@pytest.mark.parametrize(
    "expression",
    ["normal(x, 1.0)", "normal(1.0, x)", "normal(x, x[:1])", "bernoulli(x)", "poisson(x)"],
)
def test_parameters_of_a_distribution_get_zero_gradients(expression):
    for library in (rushlight, torch):
        x = library.full((3,), 0.5, requires_grad=True)
        made = eval("t." + expression, {"t": library, "x": x})
        assert made.requires_grad
        made.sum().backward()
        assert x.grad.tolist() == [0.0, 0.0, 0.0]


def test_filling_follows_gradients_as_pytorch_does():
    def gradient(t):
        x = t.ones(3, requires_grad=True)
        y = x * 2
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            y.normal_()
        (y * 3 + x).sum().backward()
        return x.grad.tolist()

    assert gradient(rushlight) == gradient(torch)
