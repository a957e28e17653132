"""Measurements beside PyTorch: the same source on both, interleaved in one run."""
