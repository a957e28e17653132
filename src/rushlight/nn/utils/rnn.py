"""Sequences of different lengths: padded, or packed without padding.  Level 12.

A packed sequence holds the elements of all sequences time by time, longest sequence first, so that
at each time the sequences that are still running are the first ones of the batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from rushlight.base import dtypes
from rushlight.ops.alike import empty_like
from rushlight.ops.creation import tensor
from rushlight.ops.joining import cat, stack
from rushlight.ops.ranges import arange
from rushlight.tensor.tensor import Tensor


class _PackedFields(NamedTuple):
    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None
    unsorted_indices: Tensor | None


class PackedSequence(_PackedFields):
    """Packed data, the number of running sequences at each time, and the order of sorting.

    Made by `pack_sequence` and `pack_padded_sequence`.
    """

    def __new__(
        cls,
        data: Any,
        batch_sizes: Tensor | None = None,
        sorted_indices: Tensor | None = None,
        unsorted_indices: Tensor | None = None,
    ) -> PackedSequence:
        if batch_sizes is None:  # the older form: a pair
            data, batch_sizes = data
        if batch_sizes.device.type != "cpu":
            raise ValueError(
                "batch_sizes should always be on CPU. Instances of PackedSequence should never be "
                "created manually: use pack_sequence or pack_padded_sequence."
            )
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """Move or cast the data; the indices follow it to its device."""
        data = self.data.to(*args, **kwargs)
        if data is self.data:
            return self
        indices = [
            None if index is None else index.to(data.device)
            for index in (self.sorted_indices, self.unsorted_indices)
        ]
        return type(self)(data, self.batch_sizes, *indices)

    def cpu(self) -> PackedSequence:
        """Move to the CPU."""
        return self.to("cpu")

    def cuda(self, device: Any = "cuda") -> PackedSequence:
        """Move to a CUDA device."""
        return self.to(device)

    def double(self) -> PackedSequence:
        """Cast the data to float64."""
        return self.to(dtype=dtypes.float64)

    def float(self) -> PackedSequence:
        """Cast the data to float32."""
        return self.to(dtype=dtypes.float32)

    def half(self) -> PackedSequence:
        """Cast the data to float16."""
        return self.to(dtype=dtypes.float16)

    def long(self) -> PackedSequence:
        """Cast the data to int64."""
        return self.to(dtype=dtypes.int64)

    @property
    def is_cuda(self) -> bool:
        """Whether the data is on a CUDA device."""
        return self.data.device.type == "cuda"

    def is_pinned(self) -> bool:
        """Whether the data is in page-locked memory."""
        return self.data.is_pinned()


def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """The permutation that undoes the given one."""
    if permutation is None:
        return None
    places = arange(permutation.numel(), device=permutation.device)
    return empty_like(permutation).scatter_(0, permutation, places)


def _checked_lengths(lengths: Sequence[int], steps: int, batch: int, enforce_sorted: bool) -> None:
    if len(lengths) != batch:
        raise RuntimeError(
            f"Expected `len(lengths)` to be equal to batch_size, but got {len(lengths)} "
            f"(batch_size={batch})"
        )
    if min(lengths, default=0) <= 0:
        raise RuntimeError(
            "Length of all samples has to be greater than 0, but found an element in 'lengths' "
            "that is <= 0"
        )
    if enforce_sorted and list(lengths) != sorted(lengths, reverse=True):
        raise RuntimeError(
            "`lengths` array must be sorted in decreasing order when `enforce_sorted` is True. "
            "You can pass `enforce_sorted=False` to pack_padded_sequence and/or pack_sequence to "
            "sidestep this requirement if you do not need ONNX exportability."
        )
    if max(lengths) > steps:
        raise RuntimeError(
            f"pack_padded_sequence: the longest length is {max(lengths)}, but the input has "
            f"{steps} steps"
        )


def pack_padded_sequence(
    input: Tensor, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Pack padded sequences.

    Shapes: (T, B, *), with `batch_first` (B, T, *).  Raises: RuntimeError if the lengths do not fit
    the input, or are not sorted although `enforce_sorted` says so.
    """
    sizes = lengths.tolist() if isinstance(lengths, Tensor) else [int(size) for size in lengths]
    batch, steps = (0, 1) if batch_first else (1, 0)
    _checked_lengths(sizes, input.size(steps), input.size(batch), enforce_sorted)
    order = None
    places = np.arange(len(sizes))
    if not enforce_sorted:
        places = np.argsort(-np.array(sizes, np.int64), kind="stable")
        order = tensor(places, device=input.device)
    longest = np.array(sizes, np.int64)[places]
    running = _running(longest)
    # Row of the input, whose first two axes are one, for each row of the packed data.
    times, sequences = np.nonzero(np.arange(len(running))[:, None] < longest)
    time_step, step = (1, input.size(1)) if batch_first else (input.size(1), 1)
    rows = tensor(times * time_step + places[sequences] * step, device=input.device)
    data = input.flatten(0, 1).index_select(0, rows)
    return PackedSequence(data, tensor(running, device="cpu"), order, None)


def _running(longest: np.ndarray) -> np.ndarray:
    """How many of the sequences, the longest first, are running at each time."""
    runs: np.ndarray = np.arange(longest[0])[:, None] < longest
    return runs.sum(1, dtype=np.int64)


def pad_packed_sequence(
    sequence: PackedSequence,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[Tensor, Tensor]:
    """The padded form of packed sequences, and their lengths.

    Shapes: (T, B, *), with `batch_first` (B, T, *).  Raises: ValueError if `total_length` is less
    than the longest length.
    """
    running = np.array(sequence.batch_sizes.tolist(), np.int64)
    steps = len(running)
    if total_length is not None:
        if total_length < steps:
            raise ValueError(
                "Expected total_length to be at least the length of the longest sequence in input, "
                f"but got total_length={total_length} and max sequence length being {steps}"
            )
        running = np.pad(running, (0, total_length - steps))
    batch = int(running[0])
    # Row of the packed data for each (time, sequence); any row where the sequence has ended.
    runs = np.arange(batch) < running[:, None]
    rows = np.where(runs, (np.cumsum(running) - running)[:, None] + np.arange(batch), 0)
    data = sequence.data
    padded = data.index_select(0, tensor(rows.reshape(-1), device=data.device))
    if not runs.all():
        mask = tensor(~runs, device=data.device).reshape(-1, *[1] * (data.dim() - 1))
        padded = padded.masked_fill(mask, padding_value)
    padded = padded.reshape(len(running), batch, *data.shape[1:])  # (T, B, *)
    if batch_first:
        padded = padded.transpose(0, 1)
    lengths = tensor(runs.sum(0, dtype=np.int64), device="cpu")
    order = sequence.unsorted_indices
    if order is not None:
        padded = padded.index_select(0 if batch_first else 1, order)
        lengths = lengths.index_select(0, order.cpu())
    return padded, lengths


def pad_sequence(
    sequences: Any,
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Tensor:
    """Sequences as one tensor, the shorter ones padded.

    Shapes: (L_i, *) -> (T, B, *), with `batch_first` (B, T, *).
    """
    if not isinstance(sequences, Iterable):
        raise RuntimeError(
            "pad_sequence: Expected iterable for input sequences, but got arg of type: "
            f"{type(sequences)}"
        )
    if padding_side not in ("left", "right"):
        raise ValueError(f"padding_side should be one of 'left' or 'right', but got {padding_side}")
    items = list(sequences)
    if not items:
        raise RuntimeError("received an empty list of sequences")
    longest = max(item.size(0) for item in items)
    padded = []
    for item in items:
        missing = longest - item.size(0)
        if missing:
            filler = item.new_full((missing, *item.shape[1:]), padding_value)
            item = cat((item, filler) if padding_side == "right" else (filler, item), 0)
        padded.append(item)
    return stack(padded, 0 if batch_first else 1)


def unpad_sequence(
    padded_sequences: Tensor, lengths: Tensor, batch_first: bool = False
) -> list[Tensor]:
    """The inverse of `pad_sequence`: one tensor for each sequence."""
    if not batch_first:
        padded_sequences = padded_sequences.transpose(0, 1)
    sizes = lengths.tolist() if isinstance(lengths, Tensor) else list(lengths)
    return [padded_sequences[i, :size] for i, size in enumerate(sizes)]


def pack_sequence(sequences: Sequence[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Pack a list of sequences of shapes (L_i, *)."""
    lengths = [sequence.size(0) for sequence in sequences]
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The inverse of `pack_sequence`."""
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)
