"""HistogramObserver: the range whose codes have the least squared error over all that was seen.

Level: ao (14).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import rushlight as rl
from rushlight.ao.quantization.observer import UniformQuantizationObserverBase
from rushlight.base.dtypes import DType
from rushlight.base.formats import qscheme as Scheme
from rushlight.tensor.tensor import Tensor

_STEP = 1e-5  # of the share of numbers that the search leaves out at a time
_FINER = 16  # parts that a bin is cut into when the range grows


class HistogramObserver(UniformQuantizationObserverBase):
    """Keeps a histogram; scale and zero point are those with the least squared error.

    bins: of the histogram, whose range grows with what is seen.
    Source: torch.ao.quantization.HistogramObserver.
    """

    histogram: Tensor
    min_val: Tensor
    max_val: Tensor

    def __init__(
        self,
        bins: int = 2048,
        dtype: DType = rl.quint8,
        qscheme: Scheme = rl.per_tensor_affine,
        reduce_range: bool = False,
        quant_min: int | None = None,
        quant_max: int | None = None,
        factory_kwargs: dict | None = None,
        eps: float = 2.0**-23,
        is_dynamic: bool = False,
        **kwargs: Any,
    ) -> None:
        if qscheme not in (rl.per_tensor_affine, rl.per_tensor_symmetric):
            raise NotImplementedError(
                "HistogramObserver's qscheme only support torch.per_tensor_symmetric and "
                f"torch.per_tensor_affine, got {qscheme}; use PerChannelMinMaxObserver"
            )
        if is_dynamic:
            raise NotImplementedError("HistogramObserver doesn't support dynamic quantization")
        super().__init__(
            dtype, qscheme, reduce_range, quant_min, quant_max, factory_kwargs, eps, is_dynamic,
            **kwargs,
        )  # fmt: skip
        self.bins = bins
        self.register_buffer("histogram", rl.zeros(bins))
        self.register_buffer("min_val", rl.tensor(math.inf))
        self.register_buffer("max_val", rl.tensor(-math.inf))
        self.dst_nbins = 2 ** {rl.qint32: 32, rl.int32: 32, rl.int16: 16}.get(dtype, 8)

    def forward(self, x_orig: Tensor) -> Tensor:
        """Watch a tensor; returns it."""
        if x_orig.numel() == 0:
            return x_orig
        x = x_orig.detach().to(rl.float32)
        low, high = x.amin().item(), x.amax().item()
        if not (math.isfinite(low) and math.isfinite(high)):
            return x_orig
        old_low, old_high = self.min_val.item(), self.max_val.item()
        is_first = old_low > old_high
        if not is_first:
            low, high = min(low, old_low), max(high, old_high)
        seen = rl.histc(x, self.bins, low, high).numpy()
        if not is_first:
            kept = self.histogram.numpy()
            if (low, high) != (old_low, old_high):
                kept = self._stretched(kept, old_low, old_high, low, high)
            seen = seen + kept
        self.histogram.copy_(rl.from_numpy(seen.astype(np.float32)))
        self.min_val.copy_(rl.tensor(low))
        self.max_val.copy_(rl.tensor(high))
        return x_orig

    def _stretched(
        self, kept: np.ndarray, old_low: float, old_high: float, low: float, high: float
    ) -> np.ndarray:
        """The histogram over a wider range, each bin's count spread over the bin."""
        if old_low == old_high:
            where = rl.histc(rl.tensor([old_low]), self.bins, low, high).numpy()
            return where * kept.sum()
        width = np.float32((old_high - old_low) / (self.bins * _FINER))
        edges = rl.linspace(old_low, old_high, self.bins * _FINER + 1).numpy()[:-1]
        middles = edges + np.float32(0.5) * width
        bounds = rl.linspace(low, high, self.bins + 1).numpy()
        places = np.minimum(np.searchsorted(bounds, middles, side="right") - 1, self.bins - 1)
        shares = np.repeat(kept, _FINER) / np.float32(_FINER)
        return np.bincount(places, weights=shares, minlength=self.bins).astype(np.float32)

    def calculate_qparams(self, **keywords: Any) -> tuple[Tensor, Tensor]:
        """Scale and zero point, each of one element."""
        if self.min_val.item() > self.max_val.item():
            return self._calculate_qparams(self.min_val, self.max_val)
        if self.bins != len(self.histogram):
            raise AssertionError(
                "The number of bins in histogram should be equal to the number of bins supplied "
                "while making this observer"
            )
        low, high = self._best_range()
        return self._calculate_qparams(rl.tensor(low), rl.tensor(high))

    def _best_range(self) -> tuple[float, float]:
        """The range from which leaving out more numbers on either side makes the error grow."""
        counts = self.histogram.numpy().astype(np.float64)
        low, high = self.min_val.item(), self.max_val.item()
        width = (high - low) / self.bins
        total, sums = counts.sum(), counts.cumsum()
        start, end, least = 0, self.bins - 1, math.inf
        alpha, beta = 0.0, 1.0
        while alpha < beta:
            next_alpha, next_beta = alpha + _STEP, beta - _STEP
            left, right = start, end
            while left < end and sums[left] < next_alpha * total:
                left += 1
            while right > start and sums[right] > next_beta * total:
                right -= 1
            next_start, next_end = start, end
            if left - start > end - right:
                next_start, alpha = left, next_alpha
            else:
                next_end, beta = right, next_beta
            if (next_start, next_end) == (start, end):
                continue
            error = self._error(counts, width, next_start, next_end)
            if error > least:
                break
            least, start, end = error, next_start, next_end
        return low + width * start, low + width * (end + 1)

    def _error(self, counts: np.ndarray, width: float, start: int, end: int) -> float:
        """The squared error of numbers that are even within each bin, when the bins from `start`
        to `end` are what the codes reach."""
        step = width * (end - start + 1) / self.dst_nbins
        if step == 0.0:
            return 0.0
        begins = (np.arange(self.bins) - start) * width
        ends = begins + width
        last = self.dst_nbins - 1
        first_code = np.clip(np.floor(begins / step), 0, last)
        last_code = np.clip(np.floor(ends / step), 0, last)
        density = counts / width
        half = step / 2
        found = _integral(begins - (first_code + 0.5) * step, half, density)
        found += (last_code - first_code - 1) * _integral(-half, half, density)
        found += _integral(-half, ends - (last_code * step + half), density)
        return float(found.sum())

    def reset_min_max_vals(self) -> None:
        """Forget what was watched."""
        self.histogram.zero_()
        self.min_val.copy_(rl.tensor(math.inf))
        self.max_val.copy_(rl.tensor(-math.inf))

    def extra_repr(self) -> str:
        return f"min_val={self.min_val.item()}, max_val={self.max_val.item()}"


def _integral(begin: Any, end: Any, density: np.ndarray) -> Any:
    """Of x² times a density, from begin to end."""
    return density * (end**3 - begin**3) / 3


default_histogram_observer = HistogramObserver.with_args(quant_min=0, quant_max=127)
