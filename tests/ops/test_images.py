"""Convolution, pooling, padding and resizing, against PyTorch: values, gradients, errors."""

from __future__ import annotations

import itertools

import pytest

import rushlight
from tests.ops.both import assert_agree


def wave(t, *shape, dtype="float64"):
    """Values without symmetry or ties."""
    count = 1
    for n in shape:
        count *= n
    at = t.arange(count, dtype=t.float64)
    return ((at * 0.7).sin() + at / 50).reshape(shape).to(getattr(t, dtype))


def functional(t):
    return t.nn.functional


CALLS = {
    "conv1d": lambda t, F: F.conv1d(wave(t, 2, 3, 9), wave(t, 4, 3, 3), wave(t, 4)),
    "conv1d unbatched": lambda t, F: F.conv1d(wave(t, 3, 9), wave(t, 4, 3, 3)),
    "conv2d": lambda t, F: F.conv2d(wave(t, 2, 3, 6, 5), wave(t, 4, 3, 3, 2), wave(t, 4)),
    "conv2d strided": lambda t, F: F.conv2d(
        wave(t, 1, 2, 8, 7), wave(t, 3, 2, 3, 3), stride=(2, 3)
    ),
    "conv2d padded": lambda t, F: F.conv2d(wave(t, 1, 2, 5, 5), wave(t, 3, 2, 3, 3), padding=2),
    "conv2d same": lambda t, F: F.conv2d(wave(t, 1, 2, 5, 5), wave(t, 3, 2, 2, 4), padding="same"),
    "conv2d dilated": lambda t, F: F.conv2d(wave(t, 1, 2, 9, 9), wave(t, 3, 2, 3, 3), dilation=3),
    "conv2d grouped": lambda t, F: F.conv2d(wave(t, 2, 4, 5, 5), wave(t, 6, 2, 3, 3), groups=2),
    "conv2d depthwise": lambda t, F: F.conv2d(wave(t, 2, 4, 5, 5), wave(t, 4, 1, 3, 3), groups=4),
    "conv2d empty batch": lambda t, F: F.conv2d(wave(t, 0, 2, 5, 5), wave(t, 3, 2, 3, 3)),
    "conv3d": lambda t, F: F.conv3d(wave(t, 1, 2, 4, 5, 4), wave(t, 3, 2, 2, 3, 2), padding=1),
    "conv2d wrong channels": lambda t, F: F.conv2d(wave(t, 1, 3, 5, 5), wave(t, 3, 2, 3, 3)),
    "conv2d wrong rank": lambda t, F: F.conv2d(wave(t, 5, 5), wave(t, 3, 2, 3, 3)),
    "conv2d wrong dtype": lambda t, F: F.conv2d(
        wave(t, 1, 2, 5, 5), wave(t, 3, 2, 3, 3, dtype="float32")
    ),
    "conv2d kernel too large": lambda t, F: F.conv2d(wave(t, 1, 2, 2, 5), wave(t, 3, 2, 3, 3)),
    "conv2d same and strided": lambda t, F: F.conv2d(
        wave(t, 1, 2, 5, 5), wave(t, 3, 2, 3, 3), padding="same", stride=2
    ),
    "conv2d wrong groups": lambda t, F: F.conv2d(
        wave(t, 1, 3, 5, 5), wave(t, 3, 2, 3, 3), groups=2
    ),
    "conv2d wrong bias": lambda t, F: F.conv2d(
        wave(t, 1, 2, 5, 5), wave(t, 3, 2, 3, 3), wave(t, 2)
    ),
    "conv_transpose1d": lambda t, F: F.conv_transpose1d(
        wave(t, 2, 3, 4), wave(t, 3, 2, 3), wave(t, 2), stride=2, padding=1, output_padding=1
    ),
    "conv_transpose2d": lambda t, F: F.conv_transpose2d(
        wave(t, 2, 4, 3, 4), wave(t, 4, 3, 3, 2), stride=(1, 2), groups=2, dilation=2
    ),
    "conv_transpose2d output padding": lambda t, F: F.conv_transpose2d(
        wave(t, 2, 4, 3, 4), wave(t, 4, 3, 3, 2), output_padding=1
    ),
    "conv_transpose3d": lambda t, F: F.conv_transpose3d(
        wave(t, 1, 2, 2, 3, 2), wave(t, 2, 2, 2, 2, 2), stride=2
    ),
    "max_pool1d": lambda t, F: F.max_pool1d(wave(t, 2, 3, 9), 3, 2, 1),
    "max_pool2d": lambda t, F: F.max_pool2d(wave(t, 2, 3, 6, 6), 2),
    "max_pool2d overlapping": lambda t, F: F.max_pool2d(wave(t, 1, 2, 7, 7), 3, 2, 1),
    "max_pool2d ceil": lambda t, F: F.max_pool2d(wave(t, 1, 2, 7, 6), 3, 2, ceil_mode=True),
    "max_pool2d dilated": lambda t, F: F.max_pool2d(wave(t, 1, 2, 7, 7), 2, 1, dilation=3),
    "max_pool2d padding too large": lambda t, F: F.max_pool2d(wave(t, 1, 2, 7, 7), 2, 1, 2),
    "max_pool2d too small": lambda t, F: F.max_pool2d(wave(t, 1, 2, 1, 1), 2),
    "max_pool2d of negatives with padding": lambda t, F: F.max_pool2d(
        wave(t, 1, 1, 4, 4) - 5, 3, 1, 1
    ),
    "max_pool3d": lambda t, F: F.max_pool3d(wave(t, 1, 2, 4, 4, 5), 2),
    "avg_pool1d": lambda t, F: F.avg_pool1d(wave(t, 2, 3, 9), 3, 2, 1),
    "avg_pool2d": lambda t, F: F.avg_pool2d(wave(t, 2, 3, 6, 6), 3, 2, 1),
    "avg_pool2d without padding": lambda t, F: F.avg_pool2d(
        wave(t, 2, 3, 6, 6), 3, 2, 1, count_include_pad=False
    ),
    "avg_pool2d ceil": lambda t, F: F.avg_pool2d(wave(t, 1, 2, 7, 6), 3, 2, ceil_mode=True),
    "avg_pool2d divisor": lambda t, F: F.avg_pool2d(wave(t, 1, 2, 6, 6), 2, divisor_override=3),
    "avg_pool3d": lambda t, F: F.avg_pool3d(wave(t, 1, 2, 4, 4, 5), 2),
    "adaptive_avg_pool1d": lambda t, F: F.adaptive_avg_pool1d(wave(t, 2, 3, 7), 3),
    "adaptive_avg_pool2d": lambda t, F: F.adaptive_avg_pool2d(wave(t, 2, 3, 6, 7), (2, 3)),
    "adaptive_avg_pool2d to one": lambda t, F: F.adaptive_avg_pool2d(wave(t, 2, 3, 6, 7), 1),
    "adaptive_avg_pool2d keeps none": lambda t, F: F.adaptive_avg_pool2d(
        wave(t, 2, 3, 6, 7), (None, 2)
    ),
    "adaptive_max_pool2d": lambda t, F: F.adaptive_max_pool2d(wave(t, 2, 3, 5, 7), (2, 3)),
    "lp_pool2d": lambda t, F: F.lp_pool2d(wave(t, 1, 2, 4, 4).abs() + 0.1, 3.0, 2),
    "unfold": lambda t, F: F.unfold(wave(t, 2, 3, 5, 6), (2, 3), padding=1, stride=2),
    "fold": lambda t, F: F.fold(wave(t, 2, 12, 20), (5, 6), 2, dilation=1),
    "fold of wrong blocks": lambda t, F: F.fold(wave(t, 2, 12, 21), (5, 6), 2),
    "pixel_shuffle": lambda t, F: F.pixel_shuffle(wave(t, 2, 8, 3, 2), 2),
    "pixel_unshuffle": lambda t, F: F.pixel_unshuffle(wave(t, 2, 2, 4, 6), 2),
    "channel_shuffle": lambda t, F: F.channel_shuffle(wave(t, 2, 6, 2, 2), 3),
    "pad": lambda t, F: F.pad(wave(t, 2, 3), (1, 2, 0, 1), value=7.0),
    "pad removes": lambda t, F: F.pad(wave(t, 4, 5), (-1, 2, 1, -2)),
    "pad removes too much": lambda t, F: F.pad(wave(t, 2, 3), (-2, -2)),
    "pad reflect": lambda t, F: F.pad(wave(t, 1, 2, 4, 5), (2, 1, 0, 3), mode="reflect"),
    "pad reflect too much": lambda t, F: F.pad(wave(t, 1, 2, 4), (4, 0), mode="reflect"),
    "pad replicate": lambda t, F: F.pad(wave(t, 1, 2, 4, 5), (2, 1, 0, 6), mode="replicate"),
    "pad circular": lambda t, F: F.pad(wave(t, 1, 2, 4, 5), (2, 1, 3, 0), mode="circular"),
    "pad odd": lambda t, F: F.pad(wave(t, 2, 3), (1,)),
    "nearest": lambda t, F: F.interpolate(wave(t, 1, 2, 4, 5), (7, 3)),
    "nearest by scale": lambda t, F: F.interpolate(wave(t, 1, 2, 4), scale_factor=2.3),
    "linear": lambda t, F: F.interpolate(wave(t, 1, 2, 5), 8, mode="linear"),
    "bilinear": lambda t, F: F.interpolate(wave(t, 1, 2, 4, 5), (7, 3), mode="bilinear"),
    "bilinear corners": lambda t, F: F.interpolate(
        wave(t, 1, 2, 4, 5), (7, 3), mode="bilinear", align_corners=True
    ),
    "bilinear antialiased": lambda t, F: F.interpolate(
        wave(t, 1, 2, 8, 9), (3, 4), mode="bilinear", antialias=True
    ),
    "bicubic": lambda t, F: F.interpolate(wave(t, 1, 2, 4, 5), scale_factor=1.7, mode="bicubic"),
    "bicubic antialiased": lambda t, F: F.interpolate(
        wave(t, 1, 2, 8, 9), (3, 4), mode="bicubic", antialias=True
    ),
    "trilinear": lambda t, F: F.interpolate(wave(t, 1, 1, 3, 3, 3), 5, mode="trilinear"),
    "area": lambda t, F: F.interpolate(wave(t, 1, 2, 6, 6), (4, 3), mode="area"),
    "interpolate without a size": lambda t, F: F.interpolate(wave(t, 1, 2, 4)),
    "bilinear of a vector": lambda t, F: F.interpolate(wave(t, 1, 2, 4), 3, mode="bilinear"),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_images_are_transformed_as_in_pytorch(name):
    assert_agree(lambda t: CALLS[name](t, functional(t)))


@pytest.mark.parametrize("name", CALLS)
def test_gradients_of_images_agree(name):
    def case(t):
        made = []

        class Recording:
            """Gives the tensors a case makes a gradient."""

            def __getattr__(self, attribute):
                function = getattr(functional(t), attribute)

                def call(*args, **kwargs):
                    for x in args:
                        if hasattr(x, "requires_grad_") and x.is_leaf and x.dtype == t.float64:
                            made.append(x.requires_grad_())
                    return function(*args, **kwargs)

                return call

        y = CALLS[name](t, Recording())
        weight = t.linspace(0.5, 1.5, max(y.numel(), 1), dtype=t.float64)[: y.numel()]
        (y * weight.reshape(y.shape)).sum().backward()
        return [x.grad for x in made]

    assert_agree(case)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_other_dtypes_convolve_and_pool(dtype):
    def case(t):
        F = functional(t)
        x, w = wave(t, 1, 2, 6, 6, dtype=dtype), wave(t, 3, 2, 3, 3, dtype=dtype)
        return F.max_pool2d(F.conv2d(x, w), 2), F.avg_pool2d(x, 2)

    assert_agree(case, rtol={"float32": 1e-5, "float16": 1e-2, "bfloat16": 6e-2}[dtype])


def test_max_pooling_says_where_its_maxima_lie():
    def case(t):
        x = wave(t, 2, 2, 5, 6)
        values, indices = functional(t).max_pool2d(x, 3, 2, 1, return_indices=True)
        back = functional(t).max_unpool2d(values, indices, 3, 2, 1, output_size=(5, 6))
        return values, indices, back

    assert_agree(case)


def test_equal_maxima_give_their_gradient_to_the_first():
    def case(t):
        x = t.zeros(1, 1, 4, 4, dtype=t.float64).requires_grad_()
        functional(t).max_pool2d(x, 2).sum().backward()
        return x.grad

    assert_agree(case)


def test_a_transposed_convolution_is_the_adjoint_of_the_convolution():
    F = rushlight.nn.functional
    for stride, padding, dilation in itertools.product((1, 2), (0, 1), (1, 2)):
        x, w = wave(rushlight, 1, 2, 9, 9), wave(rushlight, 3, 2, 3, 3)
        y = F.conv2d(x, w, stride=stride, padding=padding, dilation=dilation)
        z = wave(rushlight, *y.shape) + 1
        size = 9 - ((y.shape[-1] - 1) * stride - 2 * padding + dilation * 2 + 1)
        if size >= max(stride, dilation):
            continue
        back = F.conv_transpose2d(
            z, w, stride=stride, padding=padding, dilation=dilation, output_padding=size
        )
        assert (y * z).sum().item() == pytest.approx((x * back).sum().item())
