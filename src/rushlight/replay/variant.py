"""One way a call goes, ready to be done again: guards, programs, and what becomes of their results.

In: a `World`, the states of its tensors and a `Recipe`, found by watching a call.  Out: calls that
compute the same from present values.  Nothing is changed before everything is computed, so that a
call which cannot be completed leaves no trace, and the Python can run instead.  Level: replay.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.base.hot import hot, warmup
from rushlight.base.stats import stats
from rushlight.engine.direct import DirectRun
from rushlight.ops.generator import default_generator
from rushlight.optim.bucket import has_tensors
from rushlight.replay.arguments import build
from rushlight.replay.guard import Guard, tensors_hold
from rushlight.replay.recipe import (
    CONSTANT,
    COUNT,
    DRAW,
    GRADIENT,
    GRADIENT_NOW,
    NUMBER,
    SAME,
    TENSOR,
    Recipe,
    Source,
    State,
)
from rushlight.replay.world import World
from rushlight.tape.tape import leaf_node
from rushlight.tensor.graph import BlockGrad, GradNode, OutputOf
from rushlight.tensor.memory import storage_of
from rushlight.tensor.tensor import Tensor, scalar_node, wrap


class Outcome:
    """Everything a replay computed.  values: nodes by place.  numbers: new scalars by update."""

    __slots__ = ("values", "counts")

    def __init__(self, values: list, counts: list[dict[str, float]]) -> None:
        self.values = values
        self.counts = counts


class Variant:
    """guard: of what the Python could look at.  recipe: what to compute.  done: calls so far.

    places: source of a value -> its place among the values of a replay: nodes of the tensors that
    are read, then of gradients, constants, numbers and draws, then results.
    """

    def __init__(
        self, world: World, arguments: list[Tensor], states: list[State], paths: list[str],
        recipe: Recipe,
    ) -> None:  # fmt: skip
        self.done = 0
        self.guard = Guard(world, states, paths)
        self.recipe = recipe
        self.paths = paths
        self.world_tensors = list(world.tensors)
        self.held = dict(world.pinned)
        count = len(world.tensors)
        # Arguments that require a gradient are guarded as the world's tensors are.
        self._followed = [
            (place - count, states[place])
            for place in range(count, len(states))
            if states[place].edge is not None
        ]
        self.engines = [default_generator.engine, *[g.engine for g in world.generators]]
        self.engines = list({id(engine): engine for engine in self.engines}.values())
        self.places: dict[Source, int] = {}
        self._plan_values(recipe, count)
        self._plan_effects(recipe, count)

    # ---- planning ----------------------------------------------------------------------------

    def _plan_values(self, recipe: Recipe, count: int) -> None:
        sources = [s for program in recipe.programs for s in program.leaves.values()]
        tensors = sorted({s[1] for s in sources if s[0] == TENSOR})
        self._read = [self.world_tensors[p] for p in tensors if p < count]
        self._read_arguments = [p - count for p in tensors if p >= count]
        gradients = sorted({s[1] for s in sources if s[0] == GRADIENT})
        self._read_gradients = [self.world_tensors[p] for p in gradients if p < count]
        self._read_argument_gradients = [p - count for p in gradients if p >= count]
        self._constants = recipe.constants
        for source in [
            *[(TENSOR, p) for p in tensors],
            *[(GRADIENT, p) for p in gradients],
            *[(CONSTANT, p) for p in range(len(recipe.constants))],
            *[
                (NUMBER, u, n)
                for u, update in enumerate(recipe.updates)
                for n in range(len(update.slots))
            ],
            *[(DRAW, p) for p in range(len(recipe.draws))],
        ]:
            self.places[source] = len(self.places)
        self._runs: list[tuple[DirectRun, list[int]]] = []
        self._donors: list[Tensor] = []
        for number, program in enumerate(recipe.programs):
            if not program.kept:
                continue
            run = DirectRun(program.tape, sorted(program.kept))
            if number == len(recipe.programs) - 1:
                run.donations = self._donations(run, number, recipe, count)
                donors = [program.leaves[leaf][1] for leaf, _ in run.donations]
                self._donors = [self.world_tensors[place] for place in donors]
            leaves = [self.places[program.leaves[slot]] for slot in run.leaves]
            self._runs.append((run, leaves))
            for slot in run.kept:
                self.places[("result", number, slot)] = len(self.places)
        self._draws = [(draw.values, draw.node.dtype) for draw in recipe.draws]

    def _donations(
        self, run: DirectRun, number: int, recipe: Recipe, count: int
    ) -> list[tuple[int, int]]:
        """Results of the last program that may be written over leaves: values of tensors that this
        very call replaces, and reads nowhere else."""
        leaves = recipe.programs[number].leaves
        replaced = {
            w.target for w in recipe.writes if w.target[0] == TENSOR and w.target[1] < count
        }
        return [(leaf, slot) for leaf, slot in run.pairs if leaves.get(leaf) in replaced]

    def _plan_effects(self, recipe: Recipe, count: int) -> None:
        computed = [w for w in recipe.writes if w.source[0] != COUNT]
        self._writes = [(w.target, self.places[w.source], w.times) for w in computed]
        world = [w for w in self._writes if w[0][0] == TENSOR and w[0][1] < count]
        self._other_writes = [w for w in self._writes if w not in world]
        self._targets = [self.world_tensors[w[0][1]] for w in world]
        self._target_places = [w[1] for w in world]
        self._times = [w[2] for w in world]
        # By update and scalar: the tensors that hold it.
        self._counted: list[dict[str, list[Tensor]]] = [{} for _ in recipe.updates]
        for write in recipe.writes:
            if write.source[0] == COUNT:
                _, update, name = write.source
                tensor = self.world_tensors[write.target[1]]
                self._counted[update].setdefault(name, []).append(tensor)
        self._count_times = {
            name: write.times for write in recipe.writes if write.source[0] == COUNT
            for name in [write.source[2]]
        }  # fmt: skip
        self._gradients_of_arguments = False
        self._cleared = [p for p, source in recipe.gradients.items() if source is None]
        given = {p: s for p, s in recipe.gradients.items() if s is not None}
        self._given = [(p, self.places[s]) for p, s in given.items()]
        if all(p < count for p in (*self._cleared, *given)):
            self._cleared_tensors = [self.world_tensors[p] for p in self._cleared]
            self._given_tensors = [self.world_tensors[p] for p in given]
            self._given_places = [place for _, place in self._given]
        else:
            self._cleared_tensors, self._given_tensors, self._given_places = [], [], []
            self._gradients_of_arguments = True
        self._argument_writes = any(t[1] >= count for t, _, _ in self._writes)
        self._plain_output = (
            len(recipe.outputs) == 1
            and recipe.result == ("tensor", 0)
            and recipe.outputs[0].kind not in (SAME, GRADIENT_NOW)
        )
        self._output_places = [
            -1 if output.kind in (SAME, GRADIENT_NOW) else self.places[output.source]
            for output in recipe.outputs
        ]

    # ---- a call ------------------------------------------------------------------------------

    def holds(self, arguments: list[Tensor]) -> bool:
        """Whether a call with these arguments, whose key is this variant's, may be replayed."""
        if not self.guard.holds():
            return False
        for place, state in self._followed:
            gradient = None if state.gradient is None else state.gradient_node.step
            tensor = arguments[place]
            if not tensors_hold(
                [tensor], [tensor.__class__], [tensor._node.step], [tensor._grad_fn],
                [tensor._layout], [tensor._base], [gradient],
            ):  # fmt: skip
                self.guard.broken = "the gradient of an argument"
                return False
        for tensor in arguments:
            if tensor._storage is not None and not self._is_apart(tensor, arguments):
                self.guard.broken = "an argument shares memory with what the call writes"
                return False
        return True

    def _is_apart(self, tensor: Tensor, arguments: list[Tensor]) -> bool:
        storage = tensor._storage
        for target in self._targets:
            if target._storage is storage:
                return False
        if self._argument_writes:
            return not any(t._storage is storage for t in arguments if t is not tensor) and not any(
                t._storage is storage for t in self.world_tensors
            )
        return True

    @hot
    def compute(self, arguments: list[Tensor], donate: bool = False) -> Outcome | None:
        """Compute everything and change nothing but the generators; None if that fails.

        donate: whether results may be written over values that `commit` will replace.
        """
        if donate:
            for tensor in self._donors:
                storage = tensor._storage
                if storage is None or storage.value is not tensor._node:
                    donate = False
        values = [tensor._node for tensor in self._read]
        for place in self._read_arguments:
            values.append(arguments[place]._node)
        for tensor in self._read_gradients:
            values.append(tensor._grad._node)
        for place in self._read_argument_gradients:
            values.append(arguments[place]._grad._node)
        values.extend(self._constants)
        counts: list[Any] = []
        if self._counted and not self._add_numbers(values, counts):
            return None
        for draw, dtype in self._draws:
            values.append(leaf_node(draw(), dtype))
        for run, leaves in self._runs:
            results = run.run([values[place] for place in leaves], donate)
            if results is None:
                return None
            values.extend(results)
        return Outcome(values, counts)

    @hot
    def _add_numbers(self, values: list, counts: list) -> bool:
        """Ask the optimizers' rules for their numbers; False if they would do something else."""
        before: dict[int, Any] = {}
        for update in self.recipe.updates:
            bucket, optimizer, group = update.bucket, update.optimizer, update.group
            known = before.get(id(bucket))
            if known is None:
                if not optimizer.has_bucket(group, bucket):
                    self.guard.broken = "an optimizer began anew"
                    return False
                if not bucket.scalars_hold():
                    self.guard.broken = "a step count was written"
                    return False
                known = bucket.scalars
            numbers = optimizer.numbers_of(group, known)
            if numbers.form != update.form or has_tensors(numbers.values):
                self.guard.broken = "an optimizer's options"
                return False
            values.extend(bucket.number_nodes(numbers.values, update.numbers))
            before[id(bucket)] = numbers.scalars
            counts.append(numbers.scalars)
        return True

    @hot
    def commit(self, outcome: Outcome, arguments: list[Tensor]) -> Any:
        """Let everything that the call changes be what was computed; returns the call's result."""
        values = outcome.values
        if self._gradients_of_arguments:
            self._commit_gradients(values, arguments)
        else:
            for tensor in self._cleared_tensors:
                tensor._grad = None
            for tensor, place in zip(self._given_tensors, self._given_places):
                tensor._grad = wrap(values[place])
        replace_values(self._targets, [values[place] for place in self._target_places], self._times)
        for update, numbers, targets in zip(self.recipe.updates, outcome.counts, self._counted):
            for name in targets:
                node = update.bucket.count_node(name, numbers[name])
                tensors = targets[name]
                times = self._count_times[name]
                replace_values(tensors, [node] * len(tensors), [times] * len(tensors))
        if self._other_writes:
            self._commit_others(values, arguments)
        stats.calls_replayed += 1
        warmup.left -= 1
        if warmup.left == 0:
            warmup.look()
        if self._plain_output:
            made = wrap(values[self._output_places[0]])
            edge = self.recipe.outputs[0].edge
            if edge is not None:
                made._grad_fn = _left_behind(edge)
            return made
        return self._result(values, arguments)

    def _tensor(self, place: int, arguments: list[Tensor]) -> Tensor:
        count = len(self.world_tensors)
        return self.world_tensors[place] if place < count else arguments[place - count]

    def _commit_gradients(self, values: list, arguments: list[Tensor]) -> None:
        for place in self._cleared:
            self._tensor(place, arguments)._grad = None
        for place, value in self._given:
            self._tensor(place, arguments)._grad = wrap(values[value])

    def _commit_others(self, values: list, arguments: list[Tensor]) -> None:
        for (kind, place), value, times in self._other_writes:
            tensor = self._tensor(place, arguments)
            if kind == GRADIENT:
                tensor = tensor._grad  # type: ignore[assignment]
            replace_values([tensor], [values[value]], [times])

    def _result(self, values: list, arguments: list[Tensor]) -> Any:
        tensors = []
        for output, place in zip(self.recipe.outputs, self._output_places):
            if output.kind == SAME:
                tensors.append(self._tensor(output.place, arguments))
            elif output.kind == GRADIENT_NOW:
                tensors.append(self._tensor(output.place, arguments)._grad)
            else:
                made = wrap(values[place])
                if output.edge is not None:
                    made._grad_fn = _left_behind(output.edge)
                tensors.append(made)
        return build(self.recipe.result, tensors)

    # ---- both ways ---------------------------------------------------------------------------

    def states_of_generators(self) -> list[np.ndarray]:
        """What the generators that the call can reach are at now."""
        return [engine.state_bytes() for engine in self.engines]

    def restore_generators(self, states: list[np.ndarray]) -> None:
        """Take draws back."""
        for engine, state in zip(self.engines, states):
            engine.restore(state)

    @property
    def draws(self) -> bool:
        """Whether random numbers are drawn."""
        return bool(self._draws)

    def first_difference(
        self, outcome: Outcome, arguments: list[Tensor], versions: list[int], tensors: list[Tensor]
    ) -> str:
        """What the Python, which has just run, did otherwise than the outcome says; "" if nothing.

        versions: of all tensors before.  tensors: of the Python's result.
        """
        values = outcome.values
        for (kind, place), value, times in self._writes:
            tensor = self._tensor(place, arguments)
            path = self.paths[place]
            if kind == GRADIENT:
                tensor, path = tensor._grad, f"the gradient of {path}"  # type: ignore[assignment]
            elif tensor._version - versions[place] != times:
                return f"how often {path} is written"
            if not _same_bits(tensor, values[value]):
                return path
        for place, source in self.recipe.gradients.items():
            gradient = self._tensor(place, arguments)._grad
            path = f"the gradient of {self.paths[place]}"
            if (gradient is None) is not (source is None):
                return path
            if gradient is None or source is None:
                continue
            if not _same_bits(gradient, values[self.places[source]]):
                return path
        for numbers, targets in zip(outcome.counts, self._counted):
            for name, holders in targets.items():
                expected = scalar_node(numbers[name], holders[0].dtype)
                if not all(_same_bits(holder, expected) for holder in holders):
                    return f"an optimizer's {name}"
        if len(tensors) != len(self.recipe.outputs):
            return "the number of results"
        for number, (output, place) in enumerate(zip(self.recipe.outputs, self._output_places)):
            made = tensors[number]
            if output.kind == SAME and made is not self._tensor(output.place, arguments):
                return f"result {number}"
            if place >= 0 and not _same_bits(made, values[place]):
                return f"result {number}"
            if (made._grad_fn is None) is not (output.edge is None) and place >= 0:
                return f"whether result {number} requires a gradient"
        return ""


def _same_bits(tensor: Tensor, node: Any) -> bool:
    found, expected = np.asarray(tensor._node.value), np.asarray(node.value)
    if found.shape != expected.shape or found.dtype != expected.dtype:
        return False
    if found.tobytes() == expected.tobytes():
        return True
    return found.dtype.kind in "fc" and np.array_equal(found, expected, equal_nan=True)


@hot
def replace_values(tensors: list[Tensor], nodes: list, times: list[int]) -> None:
    """Let tensors that show all of their memory hold these values, as so many writes would."""
    for tensor, node, count in zip(tensors, nodes, times):
        storage = tensor._storage
        if storage is None:
            storage = storage_of(tensor)
        storage.value = node
        storage.layout = tensor._layout
        writes = storage.writes
        writes.version = version = writes.version + count
        storage.stamp = stamp = storage.stamp + 1
        storage.written = stamp
        node.home = (writes, version)
        tensor._node = node
        tensor._seen = stamp


@hot
def _left_behind(edge: Any) -> Any:
    """The history of a result, through which a backward has gone already."""
    if edge.__class__ is not GradNode:
        return _left_behind_slowly(edge)
    made = GradNode()
    made.step = edge.step
    made.edges = edge.edges
    made.saved = edge.saved
    made.extra = None
    try:
        made.label = edge.label
    except AttributeError:
        return made
    return made


def _left_behind_slowly(edge: Any) -> Any:
    if isinstance(edge, OutputOf):
        return OutputOf(_left_behind(edge.node), edge.index)
    if isinstance(edge, BlockGrad):
        return _left_behind(edge.opened())
    assert isinstance(edge, GradNode)  # one that somebody looked at: see `graph.shown`
    made = GradNode()
    made.step, made.edges, made.saved, made.extra = edge.step, edge.edges, edge.saved, None
    if hasattr(edge, "label"):
        made.label = edge.label
    return made
