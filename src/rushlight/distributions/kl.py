"""Kullback-Leibler divergences: the table of pairs, and how a pair finds its rule.  Level 12.

Source: torch.distributions.kl. The rules stand in `kl_same.py` and `kl_mixed.py`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from rushlight.distributions.distribution import Distribution
from rushlight.ops.binary import xlogy
from rushlight.ops.comparison import where
from rushlight.tensor.tensor import Tensor

__all__ = ["register_kl", "kl_divergence"]

Rule = Callable[[Any, Any], Any]

_KL_REGISTRY: dict[tuple[type, type], Rule] = {}
_KL_MEMOIZE: dict[tuple[type, type], Rule] = {}  # types of arguments to the rule found for them


def register_kl(type_p: type, type_q: type) -> Callable[[Rule], Rule]:
    """Decorator: the rule for distributions of these types and of their subclasses.

    Raises: TypeError if one is no subclass of Distribution.
    """
    for name, given in (("type_p", type_p), ("type_q", type_q)):
        if not isinstance(given, type) and issubclass(given, Distribution):
            raise TypeError(f"Expected {name} to be a Distribution subclass but got {given}")

    def register(rule: Rule) -> Rule:
        _KL_REGISTRY[type_p, type_q] = rule
        _KL_MEMOIZE.clear()
        return rule

    return register


def _dispatch_kl(type_p: type, type_q: type) -> Rule:
    """The rule of the most specific pair of bases; the first distribution's counts more."""
    bases_p, bases_q = type_p.__mro__, type_q.__mro__
    found = [
        (bases_p.index(p), bases_q.index(q))
        for p, q in _KL_REGISTRY
        if p in bases_p and q in bases_q
    ]
    if not found:
        return NotImplemented
    by_first = min(found)
    by_second = min(found, key=lambda pair: pair[::-1])
    rule = _KL_REGISTRY[bases_p[by_first[0]], bases_q[by_first[1]]]
    if rule is not _KL_REGISTRY[bases_p[by_second[0]], bases_q[by_second[1]]]:
        first, second = bases_p[by_first[0]], bases_q[by_second[1]]
        warnings.warn(
            f"Ambiguous kl_divergence({type_p.__name__}, {type_q.__name__}). Please "
            f"register_kl({first.__name__}, {second.__name__})",
            RuntimeWarning,
            stacklevel=3,
        )
    return rule


def kl_divergence(p: Any, q: Any) -> Tensor:
    """The mean of log p(x) - log q(x) under p.  Shapes: the batch shapes, broadcast.

    Raises: NotImplementedError if no rule is registered for the types.
    """
    key = (type(p), type(q))
    rule = _KL_MEMOIZE.get(key)
    if rule is None:
        rule = _dispatch_kl(*key)
        _KL_MEMOIZE[key] = rule
    if rule is NotImplemented:
        raise NotImplementedError(
            f"No KL(p || q) is implemented for p type {key[0].__name__} and q type "
            f"{key[1].__name__}; add one with register_kl"
        )
    return rule(p, q)


def infinite_where(condition: Tensor, value: Tensor) -> Tensor:
    """`value`, infinite where p has values that q has not."""
    return where(condition, float("inf"), value)


def x_log_x(x: Tensor) -> Tensor:
    """x log x, 0 at 0."""
    return xlogy(x, x)
