"""The function that `torch.compile` gives back: it decides for each call whether to replay it.

In: calls.  Out: their results, by the Python or by a `Variant`.  A kind of call (its arguments'
structure, and the thread's modes) is watched until two calls in turn did the same, then done both
ways, and then replayed.  Level: replay.
"""

from __future__ import annotations

import functools
import threading
import warnings
import weakref
from collections.abc import Callable
from operator import is_
from typing import Any

from rushlight.autograd.anomaly_mode import AnomalyMode
from rushlight.base.config import config
from rushlight.base.device import get_default_device
from rushlight.base.dtypes import get_default_dtype
from rushlight.base.errors import CompilerWarning
from rushlight.base.hot import hot
from rushlight.base.observe import clock
from rushlight.nn.modules.module import _GLOBAL_CALL_HOOKS
from rushlight.ops.generator import default_generator
from rushlight.optim.optimizer import _global_post_hooks, _global_pre_hooks
from rushlight.replay.arguments import Arguments, Result, described, parts
from rushlight.replay.recipe import Recipe, Refused, recipe_of, settle, states
from rushlight.replay.recorder import BOUNDARY, Recorder, watched
from rushlight.replay.report import Report
from rushlight.replay.variant import Outcome, Variant
from rushlight.replay.world import World
from rushlight.tape.tape import exclusively, local
from rushlight.tensor.storage import refresh
from rushlight.tensor.torch_function import state as dispatch

# Calls of one kind that are watched in vain, one after the other, before the Python is left alone.
MOST_ATTEMPTS = 8
# Calls of any kind watched in vain, after which a function is left alone.
MOST_VAIN = 64
# Kinds of calls without a way to go; further ones are watched when they are seen again.
MOST_NEW = 4
# Calls done both ways before the first one that is only replayed.
CALLS_VERIFIED = 2
# Ways one kind of call may go, and kinds of calls, that are kept.
MOST_VARIANTS, MOST_KINDS = 8, 64
# Watching may take so many seconds, and then this share of the time since the first call.
FREE_SECONDS, SHARE = 10.0, 0.1

ALL: weakref.WeakSet[ReplayedFunction] = weakref.WeakSet()


class Switch:
    """Whether calls may be replayed at all; `torch.compiler.set_stance` sets it."""

    on = True


class Kind:
    """Calls of one kind.

    variants: the one used last comes first.  candidate: what the last watched call did, and its
    world.  attempts: calls watched in vain.  reason: why the last call was not replayed.
    """

    def __init__(self, objects: list[Any]) -> None:
        self.objects = objects  # kept alive: the key names them by identity
        self.variants: list[Variant] = []
        self.candidate: tuple[World, Recipe] | None = None
        self.attempts = 0
        self.sightings = 0
        self.reason = ""


class ReplayedFunction:
    """A function whose calls are replayed where that is known to do the same.

    original: the function.  verify: 0, or: every so many replays are done both ways.
    is_plain: whether it was asked for the Python to be run always.
    vain: calls watched in vain since the last way to go was found.
    """

    is_replayed_function = True

    def __init__(self, original: Callable[..., Any], verify: int = 0) -> None:
        self.original = original
        self.verify = verify
        self.kinds: dict[Any, Kind] = {}
        self.executed: set[Any] = set()
        self.is_plain = False
        self.calls = self.replays = self.watches = 0
        self.vain = 0
        self.reasons: dict[str, int] = {}
        self._lock = threading.Lock()
        self._began = 0.0
        self._spent = 0.0
        functools.update_wrapper(self, original, updated=())
        ALL.add(self)

    @property
    def _torchdynamo_orig_callable(self) -> Callable[..., Any]:
        return self.original

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    def __repr__(self) -> str:
        return f"<replayed {self.original!r}>"

    def __reduce__(self) -> Any:
        return (ReplayedFunction, (self.original, self.verify))

    def __deepcopy__(self, memo: dict) -> ReplayedFunction:
        return ReplayedFunction(self.original, self.verify)

    def forget(self) -> None:
        """Forget everything that was found out."""
        with self._lock:
            self.kinds.clear()
            self.executed.clear()
            self.vain = 0

    def report(self) -> Report:
        """What became of the calls so far."""
        return Report(self)

    # ---- a call ------------------------------------------------------------------------------

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        tape = local.tape
        modes = modes_of(tape)
        if (
            modes is None
            or self.is_plain
            or self.vain >= MOST_VAIN
            or not self._lock.acquire(blocking=False)
        ):
            return self.original(*args, **kwargs)
        owned = True
        try:
            self.calls += 1
            found = described(args, kwargs)
            if found.pending:
                tape.flush(BOUNDARY)
                found = described(args, kwargs)
                if found.pending:
                    found.problem = "an argument has no value"
            key = (modes, tuple(found.key))
            kind = self.kinds.get(key)
            if kind is not None:
                for variant in kind.variants:
                    if variant.holds(found.tensors):
                        return self._replay(kind, variant, found, args, kwargs)
                if kind.variants and tape.nodes:
                    tape.flush(BOUNDARY)
                    for variant in kind.variants:
                        if variant.holds(found.tensors):
                            return self._replay(kind, variant, found, args, kwargs)
            if found.problem or not self._is_watched(key, kind, found):
                if found.problem:
                    self._note(found.problem)
                self._lock.release()
                owned = False
                return self.original(*args, **kwargs)
            return self._watch(self.kinds[key], found, args, kwargs)
        finally:
            if owned:
                self._lock.release()

    def _note(self, reason: str) -> None:
        if len(self.reasons) < 100 or reason in self.reasons:
            self.reasons[reason] = self.reasons.get(reason, 0) + 1

    def _is_watched(self, key: Any, kind: Kind | None, found: Arguments) -> bool:
        """Whether to watch a call that no variant fits."""
        if kind is None:
            if len(self.kinds) >= MOST_KINDS:
                del self.kinds[next(iter(self.kinds))]
            kind = self.kinds[key] = Kind(found.objects)
        kind.sightings += 1
        if kind.variants:
            kind.reason = f"{kind.variants[0].guard.broken} changed"
            self._note(kind.reason)
        if kind.attempts >= MOST_ATTEMPTS:
            return False
        if not self._began:
            self._began = clock()
        if kind.sightings == 1:
            new = sum(not one.variants for one in self.kinds.values())
            if new > MOST_NEW:
                return False
        return self._spent < FREE_SECONDS + SHARE * (clock() - self._began)

    # ---- watching ----------------------------------------------------------------------------

    def _watch(self, kind: Kind, found: Arguments, args: tuple, kwargs: dict) -> Any:
        began = clock()
        self.watches += 1
        kind.attempts += 1
        self.vain += 1
        try:
            return self._watched_call(kind, found, args, kwargs)
        finally:
            self._spent += clock() - began

    def _world(self, found: Arguments) -> World:
        roots = [("", self.original), *[("an argument", value) for value in found.objects]]
        return World(roots, self.executed)

    def _refuse(self, kind: Kind, reason: str) -> None:
        kind.candidate = None
        kind.reason = reason
        self._note(reason)

    def _watched_call(self, kind: Kind, found: Arguments, args: tuple, kwargs: dict) -> Any:
        local.tape.flush(BOUNDARY)
        problem = ""
        world = self._world(found)
        tensors = [*world.tensors, *[t for t in found.tensors if id(t) not in world.places]]
        paths = [*world.paths, *_argument_names(tensors[len(world.tensors) :], found)]
        before: list[Any] = []
        try:
            if world.problem:
                raise Refused(f"it can reach what is not understood: {world.problem}")
            if len(tensors) != len(world.tensors) + len(found.tensors):
                raise Refused("an argument is a tensor that the function can reach, too")
            settle(tensors, paths)
            before = states(tensors)
            _check_arguments(before, paths, len(world.tensors))
        except Refused as refused:
            problem = str(refused)
        given = parts([args, kwargs])
        recorder = Recorder()
        modes = modes_of(local.tape)
        with watched(recorder):
            result = self.original(*args, **kwargs)
            with recorder.unobserved():
                _refresh_all(tensors)
                local.tape.flush(BOUNDARY)
        if recorder.executed - self.executed:
            self.executed |= recorder.executed
            self._refuse(kind, recorder.problem or problem or "its code is looked at first")
            return result
        try:
            if problem or recorder.problem:
                raise Refused(recorder.problem or problem)
            if modes_of(local.tape) != modes:
                raise Refused("it leaves another mode behind")
            self._check_functions(world, recorder)
            _check_generators(world, recorder)
            later = self._world(found)
            difference = next(world.differences(later), "")
            if difference:
                raise Refused(f"it changes {difference}")
            settle(tensors, paths)
            now = parts([args, kwargs])
            if len(now) != len(given) or not all(map(is_, now[1:], given[1:])):
                raise Refused("it changes a container that it is given")
            if any(t.__dict__ for t in found.tensors):
                raise Refused("it gives an argument an attribute")
            tree = Result(result, {**world.pinned, **{id(o): o for o in found.objects}}, given)
            recipe = recipe_of(tensors, paths, before, states(tensors), recorder, tree)
            self._take(kind, world, found, before, paths, recipe)
        except Refused as refused:
            self._refuse(kind, str(refused))
        return result

    def _check_functions(self, world: World, recorder: Recorder) -> None:
        for code in recorder.executed:
            if code not in world.functions:
                where = f"{code.co_name} at {code.co_filename}:{code.co_firstlineno}"
                raise Refused(f"where {where} comes from is not known")

    def _take(
        self, kind: Kind, world: World, found: Arguments, before: list, paths: list[str],
        recipe: Recipe,
    ) -> None:  # fmt: skip
        """Make a variant if the last watched call did the same in the same world."""
        candidate = kind.candidate
        kind.candidate = (world, recipe)
        if candidate is None:
            kind.reason = "it was seen once"
            return
        if next(candidate[0].differences(world), ""):
            kind.reason = f"{next(candidate[0].differences(world))} changed"
            return
        if candidate[1].signature != recipe.signature:
            kind.reason = "it did something else than the time before"
            return
        try:
            made = Variant(world, found.tensors, before, paths, recipe)
        except RuntimeError as error:
            raise Refused(f"there is no machine code for it: {error}") from None
        kind.candidate = None
        kind.attempts = self.vain = 0
        kind.reason = ""
        kind.variants.insert(0, made)
        del kind.variants[MOST_VARIANTS:]

    # ---- replaying ---------------------------------------------------------------------------

    def _replay(
        self, kind: Kind, variant: Variant, found: Arguments, args: tuple, kwargs: dict
    ) -> Any:
        done = variant.done
        variant.done = done + 1
        verifies = 1 if config.replay == "verify" else self.verify
        if done < CALLS_VERIFIED or (verifies and done % verifies == 0):
            return self._both_ways(kind, variant, found, args, kwargs, done >= CALLS_VERIFIED)
        drawn = variant.states_of_generators() if variant.draws else None
        outcome = exclusively(functools.partial(variant.compute, found.tensors, True))
        if outcome is None:
            if drawn is not None:
                variant.restore_generators(drawn)
            if variant.guard.broken:
                kind.variants.remove(variant)  # an optimizer goes another way from now on
            self._note(variant.guard.broken or "a value cannot be computed")
            return self.original(*args, **kwargs)
        self.replays += 1
        return variant.commit(outcome, found.tensors)

    def _both_ways(
        self, kind: Kind, variant: Variant, found: Arguments, args: tuple, kwargs: dict, warn: bool
    ) -> Any:
        """Compute the outcome, run the Python, and compare; the Python's result counts."""
        arguments = found.tensors
        started = variant.states_of_generators()
        outcome: Outcome | None = exclusively(functools.partial(variant.compute, arguments))
        ended = variant.states_of_generators()
        variant.restore_generators(started)
        tensors = [*variant.world_tensors, *arguments]
        versions = [tensor._version for tensor in tensors]
        result = self.original(*args, **kwargs)
        _refresh_all(tensors)
        local.tape.flush(BOUNDARY)
        difference = "whether it can be computed"
        if outcome is not None:
            given = parts([args, kwargs])
            tree = Result(result, {**variant.held, **{id(o): o for o in found.objects}}, given)
            difference = variant.first_difference(outcome, arguments, versions, tree.tensors)
            if not difference and tree.shape != variant.recipe.result:
                difference = "the result"
        if not difference:
            now = variant.states_of_generators()
            if any((x != y).any() for x, y in zip(ended, now)):
                difference = "where random numbers continue"
        if difference:
            kind.variants.remove(variant)
            kind.attempts += 1
            reason = f"done both ways, {difference} differs"
            self._refuse(kind, reason)
            if warn:
                name = getattr(self.original, "__name__", "a function")
                warnings.warn(f"rushlight: {name}: {reason}", CompilerWarning, stacklevel=4)
        return result


def _argument_names(tensors: list, found: Arguments) -> list[str]:
    return [f"argument {found.places[id(tensor)] + 1}" for tensor in tensors]


def _check_arguments(before: list, paths: list[str], count: int) -> None:
    """No argument may show the memory of another tensor."""
    nodes = {id(state.node): paths[place] for place, state in enumerate(before[:count])}
    for place, state in enumerate(before[count:], count):
        other = nodes.setdefault(id(state.node), paths[place])
        if other != paths[place]:
            raise Refused(f"{paths[place]} shows the memory of {other}")


def _check_generators(world: World, recorder: Recorder) -> None:
    """Random numbers must come from generators whose draws can be taken back."""
    known = [default_generator.engine, *[g.engine for g in world.generators]]
    for draw in recorder.draws:
        if not all(any(engine is one for one in known) for engine in draw.engines):
            raise Refused("it draws from a generator that is not known")


def _refresh_all(tensors: list) -> None:
    for tensor in tensors:
        for one in (tensor, tensor._grad):
            if one is not None and one._storage is not None and one._storage.stamp != one._seen:
                if one._base is None:
                    local.tape.grad_enabled, enabled = False, local.tape.grad_enabled
                    try:
                        _refresh(one)
                    finally:
                        local.tape.grad_enabled = enabled


def _refresh(tensor: Any) -> None:
    from_storage = tensor._storage
    if from_storage.pinned is None:
        refresh(tensor)


@hot
def modes_of(tape: Any) -> tuple | None:
    """What else decides what a call does; None where it must be Python."""
    if tape.recorder is not None or tape.transforms is not None or tape.in_block:
        return None
    if config.eager or not config.blocks or config.executor != "compiled" or not Switch.on:
        return None
    if config.replay == "0" or AnomalyMode.enabled or dispatch.modes or dispatch.autocast:
        return None
    if _GLOBAL_CALL_HOOKS or _global_pre_hooks or _global_post_hooks:
        return None
    return (
        tape.grad_enabled, tape.inference, get_default_dtype(), get_default_device(),
        dispatch.subclasses,
    )  # fmt: skip
