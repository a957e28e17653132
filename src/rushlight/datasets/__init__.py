"""Real data that comes with the package, for first steps, demonstrations and tests.

Level 12: stands on `utils.data` and on tensors made from NumPy arrays.
"""

from rushlight.datasets.digits import CorruptDataError, Digits, load_digits

__all__ = ["CorruptDataError", "Digits", "load_digits"]
