"""What steps of a pipeline of data are: IterDataPipe, MapDataPipe and DataChunk.  Level 12.

A stream has one valid iterator: a newer one ends those before it, since steps keep buffers.  A
step's methods `map`, `batch`, ... are the classes registered under these names.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from rushlight.utils.data.dataset import Dataset, IterableDataset

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class DataChunk(list[T]):
    """A batch of samples that were not collated yet."""

    def __init__(self, items: Iterable[T]) -> None:
        super().__init__(items)
        self.items = list(self)

    def as_str(self, indent: str = "") -> str:
        """The samples in brackets, behind `indent`."""
        return f"{indent}[{', '.join(str(item) for item in self)}]"

    def raw_iterator(self) -> Iterator[T]:
        """The samples as they came."""
        yield from self.items


class _Steps:
    """What both kinds of pipes share: methods that append a step, hooks of pickling and printing.

    functions: method name -> function of the pipe that gives the pipe behind the step.
    """

    functions: dict[str, Callable] = {}
    reduce_ex_hook: Callable | None = None
    getstate_hook: Callable | None = None
    str_hook: Callable | None = None
    repr_hook: Callable | None = None

    def __getattr__(self, name: str) -> Any:
        function = type(self).functions.get(name)
        if function is None:
            raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")
        step = functools.partial(function, self)
        step.__doc__ = function.__doc__
        return step

    @classmethod
    def register_function(cls, function_name: str, function: Callable) -> None:
        """Make a function of a pipe a method of all."""
        cls.functions[function_name] = function

    @classmethod
    def register_datapipe_as_function(
        cls, function_name: str, cls_to_register: Any, enable_df_api_tracing: bool = False
    ) -> None:
        """Make `cls_to_register(pipe, ...)` a method of all pipes.

        Raises: Exception if the name is taken.
        """
        if function_name in cls.functions:
            raise Exception(
                f"Unable to add DataPipe function name {function_name} as it is already taken"
            )

        def step(source: Any, *args: Any, **kwargs: Any) -> Any:
            return cls_to_register(source, *args, **kwargs)

        step.__doc__ = cls_to_register.__doc__
        cls.functions[function_name] = step

    def __getstate__(self) -> Any:
        state = self.__dict__
        return state if self.getstate_hook is None else type(self).getstate_hook(state)  # type: ignore[misc]

    def __reduce_ex__(self, protocol: Any) -> Any:
        hook = type(self).reduce_ex_hook
        if hook is not None:
            try:
                return hook(self)
            except NotImplementedError:
                pass
        return super().__reduce_ex__(protocol)

    @classmethod
    def set_getstate_hook(cls, hook_fn: Callable | None) -> None:
        """What makes of a pipe's attributes the state to be pickled; None removes it."""
        cls._set_hook("getstate_hook", hook_fn)

    @classmethod
    def set_reduce_ex_hook(cls, hook_fn: Callable | None) -> None:
        """What pickles pipes in place of pickle's own way; None removes it."""
        cls._set_hook("reduce_ex_hook", hook_fn)

    @classmethod
    def _set_hook(cls, name: str, hook: Callable | None) -> None:
        owner = next(kind for kind in cls.__mro__ if "functions" in vars(kind))
        if hook is not None and getattr(owner, name) is not None:
            raise RuntimeError(f"Attempt to override existing {name}")
        setattr(owner, name, hook)

    def __repr__(self) -> str:
        return type(self).__qualname__ if self.repr_hook is None else self.repr_hook(self)

    def __str__(self) -> str:
        return type(self).__qualname__ if self.str_hook is None else self.str_hook(self)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self.functions]


def _described(pipe: Any) -> str:
    """The class and what of its arguments the pipe keeps, by name in order."""
    wanted = inspect.signature(type(pipe)).parameters
    kept = {name: value for name, value in sorted(vars(pipe).items()) if name in wanted}
    shown = {k: v.__name__ if inspect.isfunction(v) else repr(v) for k, v in kept.items()}
    return f"{type(pipe).__name__}({', '.join(f'{k}={v}' for k, v in shown.items())})"


class _Iterating:
    """An iterator of a pipe, as long as it is the newest one."""

    def __init__(self, iterator: Iterator, pipe: Any, number: int | None) -> None:
        # A generator's iterator begins with its first sample: nothing of it has run before.
        self.iterator, self.pipe, self.number = iterator, pipe, number

    def __iter__(self) -> _Iterating:
        return self

    def __next__(self) -> Any:
        if self.number is None:
            self.number = self.pipe._begin_iterator()
        if not self.pipe._is_valid(self.number):
            raise RuntimeError(
                "This iterator has been invalidated because another iterator has been created from"
                f" the same IterDataPipe: {_described(self.pipe)}\nThis may be caused by multiple"
                " references to the same IterDataPipe. We recommend using `.fork()` if that is"
                " necessary."
            )
        try:
            found = next(self.iterator)
        except StopIteration:
            raise
        except Exception as error:
            note = f"\nThis exception is thrown by __iter__ of {_described(self.pipe)}"
            first = error.args[0] if error.args else ""
            if isinstance(first, str) and "thrown by __iter__ of" not in first:
                error.args = (first + note, *error.args[1:])
            raise
        self.pipe._number_of_samples_yielded += 1
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self.iterator, name)


class IterDataPipe(_Steps, IterableDataset[T_co]):
    """A stream of samples that is a step of a pipeline: define `__iter__`.

    `reset`, if defined, is called whenever an iterator begins.  Making a second iterator ends the
    first, whose next sample raises RuntimeError.
    Source: torch.utils.data.IterDataPipe.
    """

    functions: dict[str, Callable] = {}
    _valid_iterator_id: int | None = None
    _number_of_samples_yielded = 0

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        made = vars(cls).get("__iter__")
        if made is None:
            return

        later = inspect.isgeneratorfunction(made)

        @functools.wraps(made)
        def begin(self: Any) -> Iterator:
            iterator = made(self)
            return _Iterating(iterator, self, None if later else self._begin_iterator())

        cls.__iter__ = begin  # type: ignore[method-assign]

    def __iter__(self) -> Iterator[T_co]:
        return self  # type: ignore[return-value]

    def reset(self) -> None:
        """Go back to the first sample: forget buffers."""

    def _begin_iterator(self) -> int:
        """The number of the newest iterator, which is made now."""
        before = self._valid_iterator_id
        self._valid_iterator_id = 0 if before is None else before + 1
        self._number_of_samples_yielded = 0
        self.reset()
        return self._valid_iterator_id

    def _is_valid(self, number: int) -> bool:
        return number == self._valid_iterator_id


class DFIterDataPipe(IterDataPipe):
    """A stream of data frames."""

    def _is_dfpipe(self) -> bool:
        return True


class MapDataPipe(_Steps, Dataset[T_co]):
    """A map from keys to samples that is a step of a pipeline: define `__getitem__`, `__len__`.

    Source: torch.utils.data.MapDataPipe.
    """

    functions: dict[str, Callable] = {}


def length_of(source: Any, pipe: Any) -> int:
    """How many samples come out of a pipe's source.  Raises: TypeError if it does not know."""
    if hasattr(type(source), "__len__"):
        return len(source)
    raise TypeError(f"{type(pipe).__name__} instance doesn't have valid length")
