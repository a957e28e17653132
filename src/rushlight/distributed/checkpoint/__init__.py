"""State of modules and optimizers that would be spread over processes.  Level 12.

In one process all of it is here: `state_dict` gives and takes it by the names of parameters; files
are written by `torch.save` or by safetensors.  Source: torch.distributed.checkpoint.
"""

from rushlight.distributed.checkpoint import hf_storage, state_dict

__all__ = ["hf_storage", "state_dict"]
