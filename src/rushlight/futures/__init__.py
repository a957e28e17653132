"""PyTorch's `torch.futures`: a value that another thread will set.  Level 12."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

__all__ = ["Future", "collect_all", "wait_all"]

T = TypeVar("T")


class Future(Generic[T]):
    """A value or an exception that is set once; callbacks run in the thread that sets it.

    devices: accepted; must be empty or CPUs.
    """

    def __init__(self, *, devices: list[Any] | None = None) -> None:
        for device in devices or ():
            if "cuda" in str(device) or isinstance(device, int):
                raise ValueError("Future: devices must be of an accelerator that is there; none is")
        self._condition = threading.Condition()
        self._done = False
        self._value: Any = None
        self._error: BaseException | None = None
        self._callbacks: list[Callable[[Future[T]], Any]] = []

    def done(self) -> bool:
        """Whether a value or an exception was set."""
        return self._done

    def wait(self) -> T:
        """The value, once it is set.  Raises: the exception that was set."""
        with self._condition:
            self._condition.wait_for(lambda: self._done)
        if self._error is not None:
            raise self._error
        return self._value

    def value(self) -> T:
        """The value of a future that is done.  Raises: RuntimeError if it is not."""
        if not self._done:
            raise RuntimeError("value() of a Future that is not done; call wait()")
        if self._error is not None:
            raise self._error
        return self._value

    def set_result(self, result: T) -> None:
        """Set the value.  Raises: RuntimeError the second time."""
        self._set(result, None)

    def set_exception(self, result: BaseException) -> None:
        """Set the exception that `wait` raises.  Raises: RuntimeError the second time."""
        if not isinstance(result, BaseException):
            raise AssertionError(f"{result} is of type {type(result)}, not an Exception.")
        self._set(None, result)

    def _set(self, value: Any, error: BaseException | None) -> None:
        with self._condition:
            if self._done:
                raise RuntimeError(
                    "Future: set a second time; it already holds a value or an exception"
                )
            self._value, self._error, self._done = value, error, True
            callbacks, self._callbacks = self._callbacks, []
            self._condition.notify_all()
        for callback in callbacks:
            callback(self)

    def add_done_callback(self, callback: Callable[[Future[T]], None]) -> None:
        """Call a function with this future once it is done, or now if it is."""
        with self._condition:
            if not self._done:
                self._callbacks.append(callback)
                return
        callback(self)

    def then(self, callback: Callable[[Future[T]], Any]) -> Future[Any]:
        """A future of what `callback` makes of this one once it is done."""
        following: Future[Any] = Future()

        def run(done: Future[T]) -> None:
            try:
                value = callback(done)
            except BaseException as error:
                following.set_exception(error)
            else:
                following.set_result(value)

        self.add_done_callback(run)
        return following


def collect_all(futures: list[Future[Any]]) -> Future[list[Future[Any]]]:
    """A future of the list of futures, done when all of them are."""
    together: Future[list[Future[Any]]] = Future()
    left = [len(futures)]
    lock = threading.Lock()

    def one_done(_: Future[Any]) -> None:
        with lock:
            left[0] -= 1
            last = left[0] == 0
        if last:
            together.set_result(list(futures))

    if not futures:
        together.set_result([])
    for future in futures:
        future.add_done_callback(one_done)
    return together


def wait_all(futures: list[Future[Any]]) -> list[Any]:
    """The values of all futures.  Raises: the first exception among them."""
    return [future.wait() for future in collect_all(futures).wait()]
