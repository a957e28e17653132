"""PyTorch's `torch.__future__`: switches of how modules convert their parameters.

Kept and read back: conversion here always gives modules new data in the same Parameter objects.
Level 12.
"""

from __future__ import annotations

_switches = {"overwrite": False, "swap": False}


def set_overwrite_module_params_on_conversion(value: bool) -> None:
    """Whether converting a module makes new Parameter objects."""
    _switches["overwrite"] = value


def get_overwrite_module_params_on_conversion() -> bool:
    """What `set_overwrite_module_params_on_conversion` was given; False at the start."""
    return _switches["overwrite"]


def set_swap_module_params_on_conversion(value: bool) -> None:
    """Whether converting a module swaps the contents of its Parameter objects."""
    _switches["swap"] = value


def get_swap_module_params_on_conversion() -> bool:
    """What `set_swap_module_params_on_conversion` was given; False at the start."""
    return _switches["swap"]
