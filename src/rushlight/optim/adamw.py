"""AdamW under the module in which PyTorch has it: torch.optim.adamw.  Level 12."""

from rushlight.optim.adam import AdamW

__all__ = ["AdamW"]
