"""The version of PyTorch whose interface this is, as programs ask for it: `torch.torch_version`.

Out: `TorchVersion`, a string that compares as a version, with strings and with tuples of numbers,
and `INTERFACE`, the version that `torch.__version__` names where rushlight is `torch`.  Level 12.
"""

from __future__ import annotations

import re

__all__ = ["TorchVersion"]

_PARTS = re.compile(r"v?(\d+(?:\.\d+)*)(?:[-_.]?(a|b|rc|dev|post)[-_.]?(\d*))?(?:\+(.*))?", re.I)
# A development version comes before an alpha of the same numbers, a post-release after the release.
_STAGES = {"dev": 0, "a": 1, "b": 2, "rc": 3, "": 4, "post": 5}


def _key(version: object) -> tuple:
    """What versions are compared by.  Raises: ValueError if it is none."""
    if isinstance(version, tuple):
        version = ".".join(map(str, version))
    match = _PARTS.fullmatch(str(version).strip())
    if match is None:
        raise ValueError(f"version: {version!r} is none; one looks like '2.13.0' or (2, 13)")
    numbers = [int(number) for number in match[1].split(".")]
    while len(numbers) > 1 and numbers[-1] == 0:
        numbers.pop()
    stage = (match[2] or "").lower()
    return tuple(numbers), _STAGES[stage], int(match[3] or 0), match[4] or ""


class TorchVersion(str):
    """A version: `TorchVersion("2.13.0") >= (2, 1)`, `< "2.14"`.

    What is no version is compared as text.
    """

    __slots__ = ()

    def _keys(self, other: object) -> tuple:
        try:
            return _key(str(self)), _key(other)
        except ValueError:
            return str(self), str(other)

    def __eq__(self, other: object) -> bool:
        mine, theirs = self._keys(other)
        return mine == theirs

    def __lt__(self, other: object) -> bool:
        mine, theirs = self._keys(other)
        return mine < theirs

    def __le__(self, other: object) -> bool:
        return self < other or self == other

    def __gt__(self, other: object) -> bool:
        return not self <= other

    def __ge__(self, other: object) -> bool:
        return not self < other

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = str.__hash__


INTERFACE = TorchVersion("2.13.0+rushlight")
