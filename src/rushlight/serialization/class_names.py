"""PyTorch's names for the classes and functions of whole objects: modules, optimizers, data sets.

In: where a class of ours is defined and its name.  Out: the same of PyTorch's, which has it there;
None for what PyTorch lacks.  A file with whole objects then opens in PyTorch, and here, where
`torch.` in a file is read as `rushlight.`.  Level: serialization (12).
"""

from __future__ import annotations

# Packages whose public classes PyTorch has in modules of the same names.
_ALIKE = ("nn.modules.", "nn.utils.", "nn.parallel.", "optim.", "distributions.", "utils.data.")
# Modules of ours that PyTorch has under another name.
_MOVED = {
    "nn.modules.attention": "nn.modules.activation",
    "nn.modules.rnn_cells": "nn.modules.rnn",
    "optim.adafactor": "optim._adafactor",
    "optim.muon": "optim._muon",
}
# Packages of ours that are one module there.
_GATHERED = ("optim.lr_scheduler", "distributions.transforms")
_SINGLE = {
    ("nn.modules.state", "_WrappedHook"): ("nn.modules.module", "_WrappedHook"),
    ("optim.adam", "AdamW"): ("optim.adamw", "AdamW"),
    ("utils.data.sampler", "DistributedSampler"): ("utils.data.distributed", "DistributedSampler"),
    ("tensor.tensor", "Tensor"): ("", "Tensor"),
    ("base.hooks", "RemovableHandle"): ("utils.hooks", "RemovableHandle"),
    ("nn.parameter", "UninitializedParameter"): ("nn.parameter", "UninitializedParameter"),
}
# Functions of `nn.functional` that modules keep as attributes; they are defined elsewhere here.
_FUNCTIONS = "relu gelu silu mish celu elu selu leaky_relu softplus hardswish relu6 tanh sigmoid"
_FUNCTIONAL = frozenset(_FUNCTIONS.split())
_TOP = frozenset({"tanh", "sigmoid"})


_OURS = {there: here for here, there in _SINGLE.items()}


def own_place(module: str, name: str) -> tuple[str, str]:
    """Where we have what a file calls `torch.<module>.<name>`: module below the package, and name.

    >>> own_place("nn.modules.module", "_WrappedHook")
    ('nn.modules.state', '_WrappedHook')
    """
    return _OURS.get((module, name), (module, name))


def torch_name(module: str, name: str) -> tuple[str, str] | None:
    """PyTorch's (module, name) of ours.

    >>> torch_name("rushlight.nn.modules.rnn_cells", "GRUCell")
    ('torch.nn.modules.rnn', 'GRUCell')
    """
    package, _, place = module.partition(".")
    if package != __name__.partition(".")[0]:
        return None
    if (place, name) in _SINGLE:
        there, name = _SINGLE[place, name]
        return (f"torch.{there}" if there else "torch"), name
    if place.startswith("ops.") and name in _FUNCTIONAL:
        return ("torch" if name in _TOP else "torch.nn.functional"), name
    if not place.startswith(_ALIKE):
        return None
    for gathered in _GATHERED:
        if place.startswith(gathered):
            place = gathered
    return f"torch.{_MOVED.get(place, place)}", name
