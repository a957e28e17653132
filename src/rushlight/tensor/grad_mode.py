"""no_grad, enable_grad, set_grad_enabled, inference_mode: context managers and decorators.

The mode belongs to the thread's tape.  Level 10.
"""

from __future__ import annotations

import functools
import inspect

from rushlight.base.hot import hot
from rushlight.tape.tape import current_tape


class _GradMode:
    """Sets the mode on entry, restores the former one on exit; decorates functions as well."""

    @hot
    def __init__(self, enabled: bool, inference: bool | None = None) -> None:
        self._enabled = enabled
        self._inference = inference
        self._former: list[tuple[bool, bool]] = []

    @hot
    def __enter__(self) -> None:
        tape = current_tape()
        self._former.append((tape.grad_enabled, tape.inference))
        tape.grad_enabled = self._enabled
        if tape.transforms is not None:
            tape.transforms.user_mode = self._enabled
        if self._inference is not None:
            tape.inference = self._inference

    @hot
    def __exit__(self, *exc_info) -> None:
        tape = current_tape()
        tape.grad_enabled, tape.inference = self._former.pop()
        if tape.transforms is not None:
            tape.transforms.user_mode = tape.grad_enabled

    def _fresh(self) -> _GradMode:
        return _GradMode(self._enabled, self._inference)

    def __call__(self, function):
        if inspect.isclass(function):
            raise TypeError(
                f"{type(self).__name__}: cannot decorate the class {function.__name__}; "
                "decorate its methods"
            )
        if inspect.isgeneratorfunction(function):
            return self._wrap_generator(function)

        @functools.wraps(function)
        def in_mode(*args, **kwargs):
            with self._fresh():
                return function(*args, **kwargs)

        return in_mode

    def _wrap_generator(self, function):
        # The mode holds only while the generator's own code runs, not between its values.
        @functools.wraps(function)
        def in_mode(*args, **kwargs):
            generator = function(*args, **kwargs)
            try:
                with self._fresh():
                    value = next(generator)
                while True:
                    try:
                        sent = yield value
                    except GeneratorExit:
                        generator.close()
                        raise
                    except BaseException as error:  # noqa: BLE001 - handed to the generator
                        with self._fresh():
                            value = generator.throw(error)
                    else:
                        with self._fresh():
                            value = generator.send(sent)
            except StopIteration as stop:
                return stop.value

        return in_mode


class _BareDecorator(_GradMode):
    """A mode that also decorates without being called: `@no_grad` above a function."""

    @hot
    def __new__(cls, function=None):
        mode = object.__new__(cls)
        if function is None:
            return mode
        mode.__init__()
        return mode(function)


class no_grad(_BareDecorator):  # noqa: N801 - PyTorch's name
    """Operations inside record no gradient.  Usable as `with no_grad():` and `@no_grad()`."""

    @hot
    def __init__(self, function=None) -> None:
        _GradMode.__init__(self, False)


class enable_grad(_BareDecorator):  # noqa: N801 - PyTorch's name
    """Operations inside record gradients again."""

    @hot
    def __init__(self, function=None) -> None:
        _GradMode.__init__(self, True)


class set_grad_enabled(_GradMode):  # noqa: N801 - PyTorch's name
    """Switch gradients on or off at once; as a context manager, until its end."""

    @hot
    def __init__(self, mode: bool) -> None:
        super().__init__(bool(mode))
        tape = current_tape()
        self._at_call = (tape.grad_enabled, tape.inference)
        tape.grad_enabled = bool(mode)
        if tape.transforms is not None:
            tape.transforms.user_mode = bool(mode)

    @hot
    def __enter__(self) -> None:
        self._former.append(self._at_call)
        tape = current_tape()
        tape.grad_enabled = self._enabled
        if tape.transforms is not None:
            tape.transforms.user_mode = self._enabled

    def __call__(self, function):
        tape = current_tape()
        tape.grad_enabled, tape.inference = self._at_call
        return super().__call__(function)


class inference_mode(_GradMode):  # noqa: N801 - PyTorch's name
    """As no_grad, and `is_inference_mode_enabled()` says so."""

    @hot
    def __new__(cls, mode=True):
        instance = super().__new__(cls)
        if isinstance(mode, bool):
            return instance
        instance.__init__()
        return instance(mode)

    @hot
    def __init__(self, mode: bool = True) -> None:
        tape = current_tape()
        if mode:
            super().__init__(False, True)
        else:
            super().__init__(tape.grad_enabled, False)


def is_grad_enabled() -> bool:
    """Whether operations record gradients in this thread."""
    return current_tape().grad_enabled


def is_inference_mode_enabled() -> bool:
    """Whether inference mode is on in this thread."""
    return current_tape().inference
