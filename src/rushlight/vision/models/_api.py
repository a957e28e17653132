"""Names of networks and of their trained weights.

In: `weights.tsv` beside this file: for each network its weights' enum, file and facts.  Out: the
enums (`ResNet18_Weights` …), and the registry of builders.  Level 14.
"""

from __future__ import annotations

import fnmatch
import functools
import inspect
import json
import sys
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from rushlight.vision.datasets.transfer import load_state_dict_from_url
from rushlight.vision.transforms import _presets
from rushlight.vision.transforms.interpolation import InterpolationMode

__all__ = [
    "Weights", "WeightsEnum", "get_model", "get_model_builder", "get_model_weights", "get_weight",
    "list_models", "register_model",
]  # fmt: skip

BUILDERS: dict[str, Callable[..., Any]] = {}
HERE = Path(__file__).parent


@dataclass
class Weights:
    """A file of trained weights: where it is, what its images need, what is known about it."""

    url: str
    transforms: Callable[..., Any]
    meta: dict[str, Any]

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, Weights) and self.url == other.url and self.meta == other.meta

    def __hash__(self) -> int:
        return hash(self.url)


class WeightsEnum(Enum):
    """Base of the enums of weights; a member is a `Weights`."""

    @classmethod
    def verify(cls, obj: Any) -> Any:
        """The member, also by its name; None stays.  Raises: KeyError, TypeError."""
        if obj is None or type(obj) is cls:
            return obj
        if isinstance(obj, str):
            return cls[obj.replace(cls.__name__ + ".", "")]
        raise TypeError(
            f"Invalid Weight class provided; expected {cls.__name__} but received"
            f" {obj.__class__.__name__}."
        )

    def get_state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The weights, downloaded once and kept.  Raises: URLError without a network."""
        return load_state_dict_from_url(self.url, *args, **kwargs)

    def __repr__(self) -> str:
        return f"{type(self).__name__}.{self._name_}"

    @property
    def url(self) -> str:
        """Where the file is."""
        return self.value.url

    @property
    def transforms(self) -> Callable[..., Any]:
        """Makes what the network wants done to its images."""
        return self.value.transforms

    @property
    def meta(self) -> dict[str, Any]:
        """What is known: `categories`, `num_params`, `min_size` …"""
        return self.value.meta


def _lines(name: str) -> list[str]:
    return (HERE / name).read_text(encoding="utf-8").splitlines()


@functools.cache
def _categories(kind: str) -> tuple[str, ...]:
    return tuple(_lines(f"{kind}.txt"))


def _weights(row: list[str]) -> Weights:
    url, preset, options, parameters, min_size, metrics, categories, *further = row[4:]
    keywords = json.loads(options)
    if "interpolation" in keywords:
        keywords["interpolation"] = InterpolationMode(keywords["interpolation"])
    meta: dict[str, Any] = {
        "num_params": int(parameters), "min_size": json.loads(min_size),
        "_metrics": json.loads(metrics),
    }  # fmt: skip
    if isinstance(meta["min_size"], list):
        meta["min_size"] = tuple(meta["min_size"])
    if categories == "keypoint":
        meta["categories"] = ["no person", "person"]
    elif categories:
        meta["categories"] = list(_categories(categories))
    for facts in further:
        meta |= json.loads(facts)
    return Weights(url, partial(getattr(_presets, preset), **keywords), meta)


def _read_enums() -> dict[str, type[WeightsEnum]]:
    """The enum of each network's name."""
    members: dict[str, dict[str, Weights]] = {}
    names: dict[str, str] = {}
    for line in _lines("weights.tsv"):
        row = line.split("\t")
        names[row[0]] = row[1]
        known = members.setdefault(row[1], {})
        known[row[2]] = _weights(row)
        if row[3] == "1":
            known["DEFAULT"] = known[row[2]]
    make: Any = WeightsEnum
    enums: dict[str, Any] = {
        name: make(name, known, module="rushlight.vision.models") for name, known in members.items()
    }
    return {model: enums[name] for model, name in names.items()}


ENUMS = _read_enums()


def register_model(name: str | None = None) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorator: a builder that `get_model` finds by name.  Raises: ValueError for known names."""

    def wrapper(builder: Callable[..., Any]) -> Callable[..., Any]:
        key = builder.__name__ if name is None else name
        if key in BUILDERS:
            raise ValueError(f"An entry is already registered under the name '{key}'.")
        BUILDERS[key] = builder
        return builder

    return wrapper


def network(name: str, make: Callable[..., Any], **fixed: Any) -> Callable[..., Any]:
    """The registered builder of the network `name`: `make(**fixed, **what the caller says)`."""
    enum = ENUMS.get(name)

    def build(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> Any:
        if "pretrained" in kwargs:
            warnings.warn(
                "The parameter 'pretrained' is deprecated since 0.13 and may be removed in the"
                " future, please use 'weights' instead.",
                UserWarning,
                stacklevel=2,
            )
            if kwargs.pop("pretrained") and enum is not None:
                weights = weights or enum["DEFAULT"]
        chosen = None if enum is None else enum.verify(weights)
        options = {**fixed, **kwargs}
        if chosen is not None:
            classes = len(chosen.meta.get("categories", ()))
            if classes and options.setdefault("num_classes", classes) != classes:
                raise ValueError(
                    f"The parameter 'num_classes' expected value {classes} but got"
                    f" {options['num_classes']} instead."
                )
        if kwargs.pop("pretrained_backbone", False):
            raise ValueError(
                f"{name}: 'pretrained_backbone' is gone; use weights_backbone='DEFAULT'"
            )
        model = make(_weights=chosen, **options) if _wants_weights(make) else make(**options)
        if chosen is not None:
            model.load_state_dict(chosen.get_state_dict(progress=progress, check_hash=True))
        return model

    build.__name__ = build.__qualname__ = name
    build.__doc__ = f"The network {name}; `weights` of `{enum.__name__ if enum else None}`."
    build.__module__ = sys._getframe(1).f_globals["__name__"]
    build.weights_enum = enum  # type: ignore[attr-defined]
    return register_model()(build)


def _wants_weights(make: Callable[..., Any]) -> bool:
    return "_weights" in inspect.signature(make).parameters


def get_model_builder(name: str) -> Callable[..., Any]:
    """The builder of that name.  Raises: ValueError for unknown ones."""
    builder = BUILDERS.get(name.lower())
    if builder is None:
        raise ValueError(f"Unknown model {name}")
    return builder


def get_model(name: str, **config: Any) -> Any:
    """The network of that name, built with `config`."""
    return get_model_builder(name)(**config)


def get_model_weights(name: Any) -> type[WeightsEnum]:
    """The enum of a network's weights, by name or builder.  Raises: ValueError."""
    builder = get_model_builder(name) if isinstance(name, str) else name
    enum = getattr(builder, "weights_enum", None)
    if enum is None:
        raise ValueError("The WeightsEnum class for the specific method couldn't be retrieved.")
    return enum


def get_weight(name: str) -> WeightsEnum:
    """The weights of a full name, `ResNet50_Weights.IMAGENET1K_V2`.  Raises: ValueError."""
    enum_name, dot, member = name.partition(".")
    if not dot:
        raise ValueError(f"Invalid weight name provided: '{name}'.")
    for enum in ENUMS.values():
        if enum.__name__ == enum_name:
            return enum[member]
    raise ValueError(
        f"The weight enum '{enum_name}' for the specific method couldn't be retrieved."
    )


def list_models(
    module: ModuleType | None = None, include: str | Iterable[str] | None = None,
    exclude: str | Iterable[str] | None = None,
) -> list[str]:  # fmt: skip
    """Names of the networks, sorted; of one module, and by patterns as `resnet*`."""

    def matching(patterns: str | Iterable[str]) -> set[str]:
        chosen = [patterns] if isinstance(patterns, str) else patterns
        return {name for pattern in chosen for name in fnmatch.filter(names, pattern)}

    names = [
        name for name, builder in BUILDERS.items()
        if module is None or builder.__module__.rsplit(".", 1)[0] == module.__name__
    ]  # fmt: skip
    found = set(names) if include is None else matching(include)
    if exclude is not None:
        found -= matching(exclude)
    return sorted(found)
