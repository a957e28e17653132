"""TensorBoard's files, through the `tensorboard` library.  Level 12.

Source: torch.utils.tensorboard.
"""

from rushlight.utils.tensorboard.writer import FileWriter, SummaryWriter

__all__ = ["FileWriter", "SummaryWriter"]
