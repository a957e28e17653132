"""Parameters, buffers and submodules of a module by dotted names.  Level 12.

Source: torch.nn.utils._named_member_accessor.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rushlight.nn.modules.module import Module
from rushlight.tensor.tensor import Tensor

__all__ = ["NamedMemberAccessor", "set_tensor", "swap_tensor"]

_ABSENT = object()


def swap_tensor(
    module: Module, name: str, tensor: Tensor | None, allow_missing: bool = False
) -> Any:
    """Put a tensor in the place of a parameter, buffer or attribute; returns the former one.

    None takes it away.  Raises: KeyError for dotted names; AttributeError for one that is not
    there, unless `allow_missing`; TypeError for what is no tensor.
    """
    if not isinstance(module, Module):
        raise TypeError(f"{module} is not an instance of torch.nn.Module")
    if tensor is not None and not isinstance(tensor, Tensor):
        raise TypeError(f"{tensor} is not an instance of torch.Tensor")
    if "." in name or not name:
        raise KeyError(f"tensor name must be one name without dots, got {name!r}")
    places: tuple[dict, ...] = (module._parameters, module._buffers, module.__dict__)
    place = next((each for each in places if name in each), None)
    former = _ABSENT if place is None else place[name]
    if place is None:
        if not allow_missing:
            raise AttributeError(f"{module._get_name()} has no attribute `{name}`")
        place = module.__dict__
    if former is not _ABSENT and former is not None and not isinstance(former, Tensor):
        raise TypeError(f"attribute `{name}`: {former} is not an instance of torch.Tensor")
    if tensor is None:
        place.pop(name, None)
    else:
        place[name] = tensor
    return None if former is _ABSENT else former


def set_tensor(module: Module, name: str, tensor: Tensor) -> None:
    """Put a tensor in the place of a parameter, buffer or attribute."""
    swap_tensor(module, name, tensor)


class NamedMemberAccessor:
    """Members of a module by their dotted names.  Submodules are looked up once."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.memo: dict[str, Any] = {"": module}

    def get_submodule(self, name: str) -> Any:
        """The submodule.  Raises: AttributeError where there is none, TypeError for others."""
        found = self.memo.get(name)
        if found is None:
            owner, _, attribute = name.rpartition(".")
            found = getattr(self.get_submodule(owner), attribute)
            if not isinstance(found, Module):
                raise TypeError(
                    f"submodule `{name}`: {found} is not an instance of torch.nn.Module"
                )
            self.memo[name] = found
        return found

    def get_tensor(self, name: str) -> Any:
        """The parameter, buffer or attribute.  Raises: TypeError for what is no tensor."""
        owner, _, attribute = name.rpartition(".")
        found = getattr(self.get_submodule(owner), attribute)
        if found is not None and not isinstance(found, Tensor):
            raise TypeError(f"attribute `{name}`: {found} is not an instance of torch.Tensor")
        return found

    def set_tensor(self, name: str, value: Tensor) -> None:
        """Put a tensor in its place."""
        self.swap_tensor(name, value)

    def swap_tensor(self, name: str, value: Tensor | None, allow_missing: bool = False) -> Any:
        """The same; returns the former one."""
        owner, _, attribute = name.rpartition(".")
        return swap_tensor(self.get_submodule(owner), attribute, value, allow_missing)

    def del_tensor(self, name: str) -> None:
        """Take it away."""
        self.swap_tensor(name, None)

    def get_tensors(self, names: Iterable[str]) -> list[Tensor]:
        """Several of them."""
        return [self.get_tensor(name) for name in names]

    def set_tensors_dict(self, named_tensors: dict[str, Tensor]) -> None:
        """Put several in their places."""
        for name, value in named_tensors.items():
            self.set_tensor(name, value)

    def swap_tensors_dict(
        self, named_tensors: dict[str, Any], allow_missing: bool = False
    ) -> tuple[dict[str, Any], list[str]]:
        """Put several in their places; returns the former ones and the names that were absent.

        Nothing is changed where one of them fails.
        """
        former: dict[str, Any] = {}
        absent: list[str] = []
        try:
            for name, value in named_tensors.items():
                try:
                    former[name] = self.swap_tensor(name, value)
                except AttributeError:
                    if not allow_missing:
                        raise
                    former[name] = self.swap_tensor(name, value, allow_missing=True)
                    absent.append(name)
        except Exception as error:
            for name, value in former.items():
                self.swap_tensor(name, value, allow_missing=True)
            raise RuntimeError(f"Failed to swap tensors: {error}") from error
        return former, absent

    def check_keys(self, keys: Iterable[str]) -> tuple[list[str], list[str]]:
        """(names that are missing from `keys`, names of `keys` that the module lacks)."""
        wanted = set(keys)
        own = {name for name, _ in self.named_tensors(remove_duplicate=False)}
        return sorted(own - wanted), sorted(wanted - own)

    def named_parameters(self, remove_duplicate: bool = True) -> Iterable[tuple[str, Tensor]]:
        """The module's parameters with their names."""
        yield from self.module.named_parameters(remove_duplicate=remove_duplicate)

    def named_buffers(self, remove_duplicate: bool = True) -> Iterable[tuple[str, Tensor]]:
        """The module's buffers with their names."""
        yield from self.module.named_buffers(remove_duplicate=remove_duplicate)

    def named_tensors(self, remove_duplicate: bool = True) -> Iterable[tuple[str, Tensor]]:
        """Both."""
        yield from self.named_parameters(remove_duplicate)
        yield from self.named_buffers(remove_duplicate)
