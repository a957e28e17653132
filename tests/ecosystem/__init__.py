"""Real packages on rushlight, beside the same programs on PyTorch: `python -m tests.ecosystem`."""
