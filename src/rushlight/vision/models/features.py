"""Features from the middle of a network.  Level 14."""

from __future__ import annotations

from collections import OrderedDict

from rushlight import Tensor, nn


class IntermediateLayerGetter(nn.ModuleDict):
    """The direct children of a module up to the last one asked for, run in turn.

    return_layers: names of children, each with the name of its output.
    Raises: ValueError for names that are no children.
    """

    def __init__(self, model: nn.Module, return_layers: dict[str, str]) -> None:
        names = [name for name, _ in model.named_children()]
        if not set(return_layers).issubset(names):
            raise ValueError("return_layers are not present in model")
        wanted = {str(key): str(value) for key, value in return_layers.items()}
        missing = set(wanted)
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        for name, module in model.named_children():
            layers[name] = module
            missing.discard(name)
            if not missing:
                break
        super().__init__(layers)
        self.return_layers = wanted

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        out: dict[str, Tensor] = OrderedDict()
        for name, module in self.items():
            x = module(x)
            if name in self.return_layers:
                out[self.return_layers[name]] = x
        return out
