"""A pickle reader that runs no code from the file.

In: pickle bytes, a table of the names a pickle may use, and a function for persistent ids.  Out:
the object.  Python's own unpickler can call any importable function, and with BUILD alter any
object it can reach; this one knows a list of opcodes, calls nothing but `Constructor`s from the
table, and alters nothing but containers it made itself.  Level: serialization (12).
"""

from __future__ import annotations

import collections
import dataclasses
import pickle
import struct
from collections.abc import Callable, Mapping
from typing import Any

# Items in a tuple used as a key, nested ones included.  Hashing is the only work here that can be
# exponential in the size of the file: a tuple of a tuple of a tuple, each twice the one inside.
_MAX_KEY_ITEMS = 1000


@dataclasses.dataclass(frozen=True)
class Constructor:
    """A name that a pickle may call.

    `build` makes the object from positional arguments (`new` makes it where the pickle asks for an
    object without __init__; `build` unless given); `set_state`, where given, takes the object and
    the state that a BUILD opcode hands it, and returns the finished object.  `target` is the class
    or function that a user allowed, which may also be an argument of another one.  `takes_one`: a
    pickle may call it with a value that stands in no tuple, as TorchScript's does.
    """

    name: str
    build: Callable[..., Any]
    new: Callable[..., Any] | None = None
    set_state: Callable[[Any, Any], Any] | None = None
    target: Any = None
    takes_one: bool = False


class RestrictedUnpickler:
    """Reads one pickle from `data`, starting at `position`.

    `names` maps "module.name" to a `Constructor` or to a plain value.
    Raises: pickle.UnpicklingError for a name not in `names`, an opcode that could run code, or
    damaged data.  EOFError if `data` is empty.
    """

    def __init__(
        self,
        data: bytes,
        names: Mapping[str, Any],
        persistent_load: Callable[[Any], Any] | None = None,
        position: int = 0,
        encoding: str = "utf-8",
    ) -> None:
        self._data = data
        self._names = names
        self._persistent_load = persistent_load
        self._encoding = encoding
        self.position = position
        self._stack: list[Any] = []
        self._marked: list[list[Any]] = []
        self._memo: dict[int, Any] = {}
        # State setters by identity of the built object, which the list keeps alive.
        self._setters: dict[int, tuple[Any, Constructor]] = {}

    def load(self) -> Any:
        """The pickled object; `position` is then just behind the pickle."""
        if self.position >= len(self._data):
            raise EOFError("Ran out of input: the pickle is empty")
        try:
            return self._run()
        except pickle.UnpicklingError:
            raise
        except (
            IndexError,
            KeyError,
            TypeError,
            ValueError,
            AttributeError,
            OverflowError,
            struct.error,
        ) as error:
            raise pickle.UnpicklingError(
                f"the pickle is damaged at byte {self.position}: {type(error).__name__}: {error}"
            ) from error

    def _run(self) -> Any:
        while True:
            opcode = self._take(1)
            if opcode == b".":
                return self._stack.pop()
            action = _ACTIONS.get(opcode)
            if action is None:
                raise pickle.UnpicklingError(
                    f"opcode {opcode!r} at byte {self.position - 1} is not allowed in a "
                    "weights-only checkpoint"
                )
            action(self)

    # Input.

    def _take(self, count: int) -> bytes:
        end = self.position + count
        if count < 0 or end > len(self._data):
            raise pickle.UnpicklingError(
                f"the pickle is truncated: {count} bytes wanted at byte {self.position} of "
                f"{len(self._data)}"
            )
        piece = self._data[self.position : end]
        self.position = end
        return piece

    def _number(self, form: str) -> Any:
        return struct.unpack("<" + form, self._take(struct.calcsize("<" + form)))[0]

    def _line(self) -> bytes:
        end = self._data.find(b"\n", self.position)
        if end < 0:
            raise pickle.UnpicklingError("the pickle is truncated: a line has no end")
        piece = self._data[self.position : end]
        self.position = end + 1
        return piece

    # Stack.

    def _push(self, value: Any) -> None:
        self._stack.append(value)

    def _mark(self) -> None:
        self._marked.append(self._stack)
        self._stack = []

    def _pop_mark(self) -> list[Any]:
        items = self._stack
        self._stack = self._marked.pop()
        return items

    def _pop(self) -> None:
        if self._stack:
            self._stack.pop()
        else:
            self._pop_mark()

    # Containers.

    def _append(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if type(target) is not list:
            raise pickle.UnpicklingError(f"APPEND to a {type(target).__name__} is not allowed")
        target.extend(map(_named, items))

    def _set_items(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if type(target) not in (dict, collections.OrderedDict, collections.Counter):
            raise pickle.UnpicklingError(f"SETITEM on a {type(target).__name__} is not allowed")
        if len(items) % 2:
            raise pickle.UnpicklingError("a dictionary has a key without a value")
        for i in range(0, len(items), 2):
            target[_checked_key(items[i])] = _named(items[i + 1])

    def _dict_of(self, items: list[Any]) -> None:
        self._push({})
        self._set_items(items)

    def _add_items(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if type(target) is not set:
            raise pickle.UnpicklingError(f"ADDITEMS on a {type(target).__name__} is not allowed")
        target.update(map(_checked_key, items))

    # Memo.

    def _get(self, index: int) -> None:
        if index not in self._memo:
            raise pickle.UnpicklingError(f"memo value {index} was never stored")
        self._push(self._memo[index])

    def _put(self, index: int) -> None:
        self._memo[index] = self._stack[-1]

    # Names, calls and state.

    def _global(self, module: str, name: str) -> None:
        # Python 2 wrote some modules under other names.
        module = "builtins" if module == "__builtin__" else module
        full = f"{module}.{name}"
        if full not in self._names:
            raise pickle.UnpicklingError(
                "Weights only load failed. "
                f"Unsupported global: GLOBAL {full} was not an allowed global by default. "
                "If you trust the file, load it with weights_only=False, which can run code from "
                "it; or allow this one class with serialization.add_safe_globals([...])"
            )
        self._push(self._names[full])

    def _stack_global(self) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        if type(name) is not str or type(module) is not str:
            raise pickle.UnpicklingError("STACK_GLOBAL needs two strings")
        self._global(module, name)

    def _call(self, target: Any, arguments: Any, new: bool = False) -> None:
        if not isinstance(target, Constructor):
            raise pickle.UnpicklingError(
                f"Weights only load failed. Calling a {type(target).__name__} is not allowed"
            )
        if target.takes_one and type(arguments) is not tuple:
            arguments = (arguments,)
        if type(arguments) is not tuple:
            raise pickle.UnpicklingError(f"{target.name}: arguments must be a tuple")
        make = target.new if new and target.new is not None else target.build
        value = make(*arguments)
        if target.set_state is not None:
            self._setters[id(value)] = (value, target)
        self._push(value)

    def _reduce(self) -> None:
        arguments = self._stack.pop()
        self._call(self._stack.pop(), arguments)

    def _new_object(self) -> None:
        arguments = self._stack.pop()
        self._call(self._stack.pop(), arguments, new=True)

    def _instance(self, items: list[Any]) -> None:
        self._call(items[0], tuple(items[1:]))

    def _build(self) -> None:
        state = self._stack.pop()
        target = self._stack[-1]
        known = self._setters.get(id(target))
        if known is None or known[0] is not target:
            raise pickle.UnpicklingError(
                f"Weights only load failed. Setting the state of a {type(target).__name__} is not "
                "allowed"
            )
        setter = known[1].set_state
        self._stack[-1] = setter(target, state) if setter is not None else target

    def _persistent(self, identity: Any) -> None:
        if self._persistent_load is None:
            raise pickle.UnpicklingError("persistent ids are not allowed in this pickle")
        self._push(self._persistent_load(identity))

    # Text forms of protocol 0.

    def _push_int_line(self) -> None:
        line = self._line()
        if line in (b"00", b"01"):
            self._push(line == b"01")
        else:
            self._push(int(line))

    def _push_long_line(self) -> None:
        self._push(int(self._line().rstrip(b"L")))

    def _push_quoted_line(self) -> None:
        line = self._line()
        if len(line) < 2 or line[:1] != line[-1:] or line[:1] not in (b"'", b'"'):
            raise pickle.UnpicklingError("a string is not quoted")
        unescaped = line[1:-1].decode("ascii").encode("latin-1").decode("unicode_escape")
        self._push(unescaped)

    def _push_bytes_as_text(self, count: int) -> None:
        data = self._take(count)
        self._push(data if self._encoding == "bytes" else data.decode(self._encoding))

    def _push_signed(self, count: int) -> None:
        self._push(int.from_bytes(self._take(count), "little", signed=True))

    def _push_text(self, count: int) -> None:
        self._push(self._take(count).decode("utf-8", "surrogatepass"))

    def _push_last(self, count: int) -> None:
        if len(self._stack) < count:
            raise pickle.UnpicklingError("a tuple has fewer items than announced")
        items = tuple(self._stack[-count:])
        del self._stack[-count:]
        self._push(items)


def _named(value: Any) -> Any:
    """What a container keeps: of a name that a user allowed, the class or function itself."""
    if isinstance(value, Constructor) and value.target is not None:
        return value.target
    return value


def _checked_key(key: Any) -> Any:
    """`key` itself if hashing it is cheap."""
    waiting, seen = [key], 0
    while waiting:
        item = waiting.pop()
        seen += 1
        if seen > _MAX_KEY_ITEMS or isinstance(item, (frozenset, Constructor)):
            raise pickle.UnpicklingError(f"a key such as this {type(key).__name__} is not allowed")
        if isinstance(item, tuple):
            waiting.extend(item[: _MAX_KEY_ITEMS + 1])
    return key


Action = Callable[[RestrictedUnpickler], Any]

_ACTIONS: dict[bytes, Action] = {
    # Protocol and framing: nothing depends on either.
    b"\x80": lambda m: m._take(1),
    b"\x95": lambda m: m._take(8),
    # Stack.
    b"(": RestrictedUnpickler._mark,
    b"0": RestrictedUnpickler._pop,
    b"1": lambda m: m._pop_mark(),
    b"2": lambda m: m._push(m._stack[-1]),
    # Scalars.
    b"N": lambda m: m._push(None),
    b"\x88": lambda m: m._push(True),
    b"\x89": lambda m: m._push(False),
    b"I": RestrictedUnpickler._push_int_line,
    b"L": RestrictedUnpickler._push_long_line,
    b"J": lambda m: m._push(m._number("i")),
    b"K": lambda m: m._push(m._number("B")),
    b"M": lambda m: m._push(m._number("H")),
    b"\x8a": lambda m: m._push_signed(m._number("B")),
    b"\x8b": lambda m: m._push_signed(m._number("i")),
    b"F": lambda m: m._push(float(m._line())),
    b"G": lambda m: m._push(struct.unpack(">d", m._take(8))[0]),
    # Text and bytes.
    b"S": RestrictedUnpickler._push_quoted_line,
    b"T": lambda m: m._push_bytes_as_text(m._number("i")),
    b"U": lambda m: m._push_bytes_as_text(m._number("B")),
    b"V": lambda m: m._push(m._line().decode("raw-unicode-escape")),
    b"X": lambda m: m._push_text(m._number("I")),
    b"\x8c": lambda m: m._push_text(m._number("B")),
    b"\x8d": lambda m: m._push_text(m._number("Q")),
    b"B": lambda m: m._push(m._take(m._number("I"))),
    b"C": lambda m: m._push(m._take(m._number("B"))),
    b"\x8e": lambda m: m._push(m._take(m._number("Q"))),
    b"\x96": lambda m: m._push(bytearray(m._take(m._number("Q")))),
    # Containers.
    b")": lambda m: m._push(()),
    b"t": lambda m: m._push(tuple(m._pop_mark())),
    b"\x85": lambda m: m._push_last(1),
    b"\x86": lambda m: m._push_last(2),
    b"\x87": lambda m: m._push_last(3),
    b"]": lambda m: m._push([]),
    b"l": lambda m: m._push(m._pop_mark()),
    b"a": lambda m: m._append([m._stack.pop()]),
    b"e": lambda m: m._append(m._pop_mark()),
    b"}": lambda m: m._push({}),
    b"d": lambda m: m._dict_of(m._pop_mark()),
    b"s": lambda m: m._set_items([m._stack.pop(-2), m._stack.pop()]),
    b"u": lambda m: m._set_items(m._pop_mark()),
    b"\x8f": lambda m: m._push(set()),
    b"\x90": lambda m: m._add_items(m._pop_mark()),
    b"\x91": lambda m: m._push(frozenset(map(_checked_key, m._pop_mark()))),
    # Memo.
    b"g": lambda m: m._get(int(m._line())),
    b"h": lambda m: m._get(m._number("B")),
    b"j": lambda m: m._get(m._number("I")),
    b"p": lambda m: m._put(int(m._line())),
    b"q": lambda m: m._put(m._number("B")),
    b"r": lambda m: m._put(m._number("I")),
    b"\x94": lambda m: m._put(len(m._memo)),
    # Names, calls and state.
    b"c": lambda m: m._global(m._line().decode("utf-8"), m._line().decode("utf-8")),
    b"\x93": RestrictedUnpickler._stack_global,
    b"R": RestrictedUnpickler._reduce,
    b"\x81": RestrictedUnpickler._new_object,
    b"o": lambda m: m._instance(m._pop_mark()),
    b"b": RestrictedUnpickler._build,
    b"P": lambda m: m._persistent(m._line().decode("ascii")),
    b"Q": lambda m: m._persistent(m._stack.pop()),
}
