"""Anomaly mode: backward checks for NaN and names the forward line.  Level: autograd (12)."""

from __future__ import annotations

import warnings
from typing import Any

from rushlight.tensor.autodiff import AnomalyMode


class _Setting:
    def __init__(self, mode: bool, check_nan: bool) -> None:
        self._former = (AnomalyMode.enabled, AnomalyMode.check_nan)
        self._wanted = (bool(mode), bool(check_nan))

    def _set(self, setting: tuple[bool, bool]) -> None:
        AnomalyMode.enabled, AnomalyMode.check_nan = setting

    def __enter__(self) -> None:
        self._set(self._wanted)

    def __exit__(self, *exc_info: Any) -> None:
        self._set(self._former)


class detect_anomaly(_Setting):
    """`with detect_anomaly():` raises in backward when a gradient is NaN, with the forward line.

    With `check_nan=False` only errors are annotated.  Source: torch.autograd.detect_anomaly.
    """

    def __init__(self, check_nan: bool = True) -> None:
        super().__init__(True, check_nan)
        warnings.warn(
            "Anomaly Detection has been enabled. This mode will increase the runtime and should "
            "only be enabled for debugging.",
            stacklevel=2,
        )


class set_detect_anomaly(_Setting):
    """Switch anomaly mode on or off at once; as a context manager, until its end."""

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        super().__init__(mode, check_nan)
        self._set(self._wanted)


def is_anomaly_enabled() -> bool:
    """Whether anomaly mode is on."""
    return AnomalyMode.enabled


def is_anomaly_check_nan_enabled() -> bool:
    """Whether anomaly mode, if on, looks for NaN."""
    return AnomalyMode.check_nan
