"""Python functions to LLVM text: calls, and those that are written as instructions.  Level 9."""

from __future__ import annotations

import ast
from collections.abc import Callable

from rushlight.base.references import first_unshared
from rushlight.base.words import call_released, gather, put_float, put_integer
from rushlight.selfcompile.expressions import ExpressionTranslator
from rushlight.selfcompile.interface import OBJECT_NEW
from rushlight.selfcompile.layout import Unsupported
from rushlight.selfcompile.text import INTEGER, TRUTH, Value
from rushlight.tape.block import pending_counts
from rushlight.tape.node import Node

# The callee may use the place before its arguments.
_OFFSET = 1 << 63


class CallTranslator(ExpressionTranslator):
    """Values of calls."""

    def _call(self, node: ast.Call) -> Value:
        if self._passes_rest(node):
            return self._call_with_rest(node)
        if any(isinstance(a, ast.Starred) for a in node.args) or any(
            k.arg is None for k in node.keywords
        ):
            return self._call_with_star(node)
        special = self._special_call(node)
        if special is not None:
            return special
        keywords = [k.value for k in node.keywords]
        function = node.func
        if isinstance(function, ast.Attribute) and function.attr not in self.slots.slots:
            if function.attr == "append" and len(node.args) == 1 and not keywords:
                return self._append_call(*self.objects(function.value, node.args[0]))
            given = self.objects(function.value, *node.args, *keywords)
            name = self.constant(function.attr)
            return self._vectorcall("PyObject_VectorcallMethod", name, given, node.keywords)
        called, *given = self.objects(function, *node.args, *keywords)
        return self._vectorcall("PyObject_Vectorcall", called, given, node.keywords)

    def _vectorcall(
        self, entry: str, function: Value, given: list[Value], keywords: list[ast.keyword]
    ) -> Value:
        t = self.t
        t.longest_call = max(t.longest_call, len(given))
        for index, argument in enumerate(given):
            place = t.define(f"getelementptr ptr, ptr %argv, i64 {index + 1}")
            t.store(argument.name, place)
        names = "null"
        if keywords:
            names = self.constant(tuple(str(k.arg) for k in keywords)).name
        first = t.define("getelementptr ptr, ptr %argv, i64 1")
        count = (len(given) - len(keywords)) | _OFFSET
        found = t.call(
            entry, f"ptr {function.name}", f"ptr {first}", f"i64 {count}", f"ptr {names}"
        )
        return self._result(found, [function, *given])

    def _append_call(self, owner: Value, item: Value) -> Value:
        self._asked("append", owner, item)
        return self.constant(None)

    def _special_call(self, node: ast.Call) -> Value | None:
        """Calls of a few built-in functions, which need no call."""
        t = self.t
        known = self.meaning(node.func)
        if known is None or node.keywords:
            return None
        if known is len and len(node.args) == 1:
            return self._length(node.args[0])
        if known is type and len(node.args) == 1:
            return self._class_of(node.args[0])
        for function, write in self._instructions():
            if known is function:
                write(*node.args)
                return self.constant(None)
        if known is pending_counts:
            nodes = self.object(node.args[0])
            return self._result(t.call(self.support.counter(Node), f"ptr {nodes.name}"), [nodes])
        if known is first_unshared:
            values = self.object(node.args[0])
            place = t.call(self.support.first_unshared(), f"ptr {values.name}", kind="i64")
            t.drop(values)
            return Value(INTEGER, place)
        if known is isinstance and len(node.args) == 2:
            return self._isinstance(node)
        if known is tuple and len(node.args) == 1 and isinstance(node.args[0], ast.ListComp):
            return self.new("PyList_AsTuple", self.value(node.args[0]))
        if known is object.__new__ and len(node.args) == 1:
            cls = self.value(node.args[0])
            arguments = f"ptr {cls.name}", f"ptr {self.constant(()).name}", "ptr null"
            return self._result(t.call(OBJECT_NEW, *arguments), [cls])
        return None

    def _instructions(self) -> list[tuple[Callable[..., None], Callable[..., None]]]:
        """The functions of `base/words.py`, and what writes their instructions."""
        return [
            (put_integer, self._put_integer),
            (put_float, self._put_float),
            (gather, self._gather),
            (call_released, self._call_released),
        ]

    def _word_at(self, words: Value, place: str) -> str:
        """Address of one of `Words`; the value is borrowed."""
        t = self.t
        base = self.as_integer(self.attribute(words, "address"))
        pointer = t.define(f"inttoptr i64 {base} to ptr")
        return t.define(f"getelementptr i64, ptr {pointer}, i64 {place}")

    def _put_integer(self, words: ast.expr, place: ast.expr, value: ast.expr) -> None:
        t = self.t
        given, position, number = self.values(words, place, value)
        place_name, word = self.as_integer(position), self.as_integer(number)
        t.store(word, self._word_at(given._replace(owned=False), place_name), "i64")
        t.drop(given)

    def _put_float(self, words: ast.expr, place: ast.expr, value: ast.expr) -> None:
        t = self.t
        given, position, number = self.values(words, place, value)
        given, place_name = t.park(given), self.as_integer(position)
        number = self.as_object(number)
        found = t.call("PyFloat_AsDouble", f"ptr {number.name}", kind="double")
        t.drop(number)
        unsure, good = t.new_label(), t.new_label()
        t.branch(t.define(f"fcmp oeq double {found}, -1.0"), unsure, good)
        t.begin(unsure)
        t.branch(t.is_null(t.call("PyErr_Occurred")), good, t.failure)
        t.begin(good)
        t.store(found, self._word_at(given._replace(owned=False), place_name), "double")
        t.drop(given)

    def _gather(self, *nodes: ast.expr) -> None:
        t = self.t
        words = [t.park(self.object(node)) for node in nodes[:3]]
        count = self.as_integer(self.value(nodes[3]))
        addresses = [
            self.as_integer(self.attribute(value._replace(owned=False), "address"))
            for value in words
        ]
        arguments = ", ".join(f"i64 {word}" for word in (*addresses, count))
        t.line(f"call void @gather({arguments})")
        for value in words:
            t.drop(value)

    def _call_released(self, *nodes: ast.expr) -> None:
        t = self.t
        values = self.values(*nodes[1:])
        address, x, y, z = [self.as_integer(value) for value in values]
        function = t.define(f"inttoptr i64 {address} to ptr")
        thread = t.call("PyEval_SaveThread")
        t.line(f"call void {function}(i64 {x}, i64 {y}, i64 {z})")
        t.line(f"call void @PyEval_RestoreThread(ptr {thread})")

    def _length(self, node: ast.expr) -> Value:
        t = self.t
        over = self.object(node)
        size = t.call("length", f"ptr {over.name}", kind="i64")
        t.drop(over)
        t.check_status(size, "i64")
        return Value(INTEGER, size)

    def _isinstance(self, node: ast.Call) -> Value:
        return Value(TRUTH, self._flag(self._asked("instance_of", *self.objects(*node.args))))

    def _passes_rest(self, node: ast.Call) -> bool:
        if self.rest is None:
            return False
        if not node.args or not isinstance(node.args[-1], ast.Starred):
            return False
        last = node.args[-1].value
        return isinstance(last, ast.Name) and last.id == self.rest[0]

    def _call_with_rest(self, node: ast.Call) -> Value:
        """`f(a, b, *rest, **keywords)` where a, b are the parameters before `rest`: the same call
        once more, since keywords that were given lead to the Python form."""
        assert self.rest is not None
        t = self.t
        _, before = self.rest
        given = [a.id if isinstance(a, ast.Name) else "" for a in node.args[:-1]]
        passed = all(
            k.arg is None and isinstance(k.value, ast.Name) and k.value.id == self.keywords
            for k in node.keywords
        )
        skipped = before - len(given)
        same = given == self.parameters[skipped:before] and skipped >= 0
        if not passed or not same or any(name not in self.borrowed for name in given):
            return self._call_with_star(node)
        function = self.object(node.func)
        first = t.define(f"getelementptr ptr, ptr %args, i64 {skipped}")
        count = t.define(f"sub i64 %nargs, {skipped}")
        arguments = f"ptr {function.name}", f"ptr {first}", f"i64 {count}", "ptr null"
        return self._result(t.call("PyObject_Vectorcall", *arguments), [function])

    def _call_with_star(self, node: ast.Call) -> Value:
        # **keywords is empty here, for calls with keywords went to the Python form.
        if any(k.arg is not None or not self.is_keywords(k.value) for k in node.keywords):
            raise Unsupported("a star and keywords in one call")
        function = self.t.park(self.object(node.func))
        arguments = self._tuple_with_stars(list(node.args))
        found = self.t.call(
            "PyObject_Call", f"ptr {function.name}", f"ptr {arguments.name}", "ptr null"
        )
        return self._result(found, [function, arguments])
