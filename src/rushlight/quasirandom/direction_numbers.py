"""Direction numbers of Sobol sequences.

In: `joe_kuo.npz` beside this file (its origin and licence are in `JOE_KUO.md`).  Out: for each
dimension, the numbers whose exclusive or makes the points, as integers of BITS bits.  Level 12.
"""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

import numpy as np

BITS = 30
MOST_DIMENSIONS = 21201
DATA_FILE = Path(__file__).with_name("joe_kuo.npz")
CHECKSUM = "397020c2fa3a645a2aaaf1e7d298a861fd229213b26aecb9dee6478f1394bd14"


@functools.cache
def _table() -> tuple[np.ndarray, np.ndarray]:
    """(polynomials, initial numbers) of every dimension; the numbers beyond a degree are 0."""
    found = hashlib.sha256(DATA_FILE.read_bytes()).hexdigest()
    if found != CHECKSUM:
        raise RuntimeError(
            f"{DATA_FILE} is damaged (its checksum is {found}); install rushlight again"
        )
    with np.load(DATA_FILE, allow_pickle=False) as file:
        polynomials = np.cumsum(file["steps"].astype(np.int64))
        bits = np.unpackbits(file["bits"])
    degrees = _degrees(polynomials)
    numbers = np.zeros((len(polynomials), int(degrees.max())), dtype=np.int64)
    at = 0
    for degree in range(1, numbers.shape[1] + 1):
        rows = np.flatnonzero(degrees == degree)
        for column in range(degree):
            # A number of so many bits, of which the last is 1.
            numbers[rows, column] = 1
            for place in range(1, column + 1):
                piece = bits[at : at + len(rows)].astype(np.int64)
                numbers[rows, column] |= piece << place
                at += len(rows)
    return polynomials, numbers


def _degrees(polynomials: np.ndarray) -> np.ndarray:
    # Exact: the polynomials have fewer bits than a float64.
    return np.floor(np.log2(polynomials)).astype(np.int64)


def directions(dimension: int) -> np.ndarray:
    """The direction numbers of the first dimensions: int64 (dimension, BITS).

    Source: Bratley and Fox, Algorithm 659, 1988.
    """
    polynomials, initial = (part[:dimension] for part in _table())
    degrees = _degrees(polynomials)
    numbers = np.zeros((dimension, BITS), dtype=np.int64)
    numbers[0] = 1
    for degree in range(1, int(degrees.max()) + 1):
        rows = np.flatnonzero(degrees == degree)
        numbers[rows[:, None], np.arange(degree)] = initial[rows, :degree]
        for column in range(degree, BITS):
            value = numbers[rows, column - degree]
            for step in range(1, degree + 1):
                has = (polynomials[rows] >> (degree - step)) & 1
                value = value ^ (has * (numbers[rows, column - step] << step))
            numbers[rows, column] = value
    return numbers << np.arange(BITS - 1, -1, -1)


def scrambled(numbers: np.ndarray, matrices: np.ndarray) -> np.ndarray:
    """Direction numbers times lower triangular matrices of bits whose diagonal is 1.

    Shapes: numbers (D, BITS); matrices (D, BITS, BITS), of which the diagonal is not read.
    """
    matrices = matrices.copy()
    places = np.arange(BITS)
    matrices[:, places, places] = 1
    # Bits of each number, the first one in front as in the rows of the matrices.
    bits = (numbers[:, :, None] >> (BITS - 1 - places)) & 1
    mixed = np.einsum("drc,dnc->dnr", matrices, bits) & 1
    return (mixed << (BITS - 1 - places)).sum(-1)
