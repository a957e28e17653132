"""rushlight: PyTorch's programming model in pure Python.

The public names; this file computes nothing.  Level 13.
"""

__version__ = "0.1.0"
