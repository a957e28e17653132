"""Python functions to LLVM text: statements.

The source of a function is read again as a tree.  What has no translation here raises
`Unsupported`, and the function stays the Python it is.  A local variable annotated as `int` is a
machine integer; every other value is a Python object.  Level 9.
"""

from __future__ import annotations

import ast
import threading
from types import FunctionType
from typing import NamedTuple

from rushlight.selfcompile.calls import CallTranslator
from rushlight.selfcompile.expressions import Iteration
from rushlight.selfcompile.layout import Unsupported
from rushlight.selfcompile.names import Names
from rushlight.selfcompile.support import Support
from rushlight.selfcompile.text import INTERPRET, OBJECT, FunctionText, Value
from rushlight.selfcompile.tree import names_deleted, names_stored, tree_of
from rushlight.tape.memo import is_spelling

_UPDATES = {
    ast.Add: "PyNumber_InPlaceAdd", ast.Sub: "PyNumber_InPlaceSubtract",
    ast.Mult: "PyNumber_InPlaceMultiply", ast.BitOr: "PyNumber_InPlaceOr",
}  # fmt: skip
_LOCKS = (type(threading.Lock()), type(threading.RLock()))
_LEAVE = "call void @Py_LeaveRecursiveCall()"
_EVALUATED = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.BitOr: "or", ast.BitAnd: "and",
}  # fmt: skip


def _method_call(owner: ast.expr, name: str) -> ast.Call:
    return ast.Call(ast.Attribute(owner, name, ast.Load()), [], [])


class Final(NamedTuple):
    """A `finally` around what is being translated, and where an error leads outside of it."""

    body: list[ast.stmt]
    failure: str


class EnclosingLoop(NamedTuple):
    """again, end: labels.  over: None for `while`.  finals: how many enclose it."""

    again: str
    end: str
    over: Iteration | None
    finals: int


class FunctionTranslator(CallTranslator):
    """One function; `text` and `constants` are the result."""

    def __init__(self, name: str, function: FunctionType, names: Names, support: Support) -> None:
        super().__init__(FunctionText(name, support.layout), names, support)
        self.function = function
        self._loops: list[EnclosingLoop] = []
        self._finals: list[Final] = []
        definition = self._definition = tree_of(function)
        self._is_counted = False
        if definition.args.posonlyargs:
            raise Unsupported("positional-only arguments")
        self.parameters = [a.arg for a in [*definition.args.args, *definition.args.kwonlyargs]]
        rest = [a.arg for a in (definition.args.vararg, definition.args.kwarg) if a is not None]
        if names_stored(definition.body) & set(rest):
            raise Unsupported("assignment to *arguments or **keywords")
        self._refuse_what_is_unknown(definition)
        self._find_locals(definition)
        self._take_arguments(definition.args)
        self.is_spelling = is_spelling(function.__code__)
        if self.is_spelling:
            own_name = self.constant(function.__name__)
            self.t.line(f"call void @announce(ptr {own_name.name})")
            self.t.endings.append("call void @retire()")
        self._body(definition.body)
        self._return(None)
        self.t.begin(INTERPRET)
        self._interpret()
        self.text = self.t.finished()

    # ---- arguments and locals ----------------------------------------------------------------

    def _refuse_what_is_unknown(self, definition: ast.FunctionDef) -> None:
        refused = (ast.Global, ast.Nonlocal, ast.Yield, ast.YieldFrom, ast.Await, ast.NamedExpr)
        for node in ast.walk(definition):
            if isinstance(node, refused):
                raise Unsupported(type(node).__name__)
            if isinstance(node, ast.Name) and node.id in ("super", "__class__", "locals"):
                raise Unsupported(f"{node.id}, which looks at the frame of the call")
            if isinstance(node, (ast.Lambda, ast.FunctionDef, ast.ClassDef)):
                if node is not definition:
                    raise Unsupported("a function inside")

    def _find_locals(self, definition: ast.FunctionDef) -> None:
        for node in ast.walk(definition):
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                if isinstance(node.annotation, ast.Name) and node.annotation.id == "int":
                    self.integers[node.target.id] = self.t.variable("i64")
        for name in sorted(names_stored(definition.body) - set(self.integers)):
            self.cells[name] = self.t.new_cell()

    def _take_arguments(self, arguments: ast.arguments) -> None:
        """From the caller's array.  Where that takes more than a look, such as for names that are
        not the parameters', the call goes to the Python form."""
        t = self.t
        t.begin_first("start")
        if any(isinstance(node, ast.Call) for node in ast.walk(self._definition)):
            self._count_the_call()
        if arguments.vararg is None:
            if arguments.kwarg is not None:
                raise Unsupported("**keywords without *rest")
            self._take_named_arguments(arguments)
            return
        if arguments.kwonlyargs:
            # Those take their defaults, since no names are given.
            only = self.function.__kwdefaults__ or {}
            for argument in arguments.kwonlyargs:
                if argument.arg not in only:
                    raise Unsupported("a keyword argument without a default")
        self._interpret_if(t.define("icmp ne ptr %kwnames, null"))
        positional = [a.arg for a in arguments.args]
        if self.function.__defaults__:
            raise Unsupported("defaults before *rest")
        self.rest = (arguments.vararg.arg, len(positional))
        self.keywords = None if arguments.kwarg is None else arguments.kwarg.arg
        self.rest_cell = t.new_cell()
        if positional:
            self._interpret_if(t.define(f"icmp ult i64 %nargs, {len(positional)}"))
        for index, name in enumerate(positional):
            self._bind(name, t.at("%args", 8 * index))
        for argument in arguments.kwonlyargs:
            self._bind(argument.arg, self._default_of(argument.arg).name)

    def _count_the_call(self) -> None:
        """Among the calls inside each other that the interpreter limits: the stack is no larger
        here.  It raises RecursionError."""
        t = self.t
        status = t.call("Py_EnterRecursiveCall", "ptr @where", kind="i32")
        deeper, too_deep = t.new_label(), t.new_label()
        t.branch(t.define(f"icmp eq i32 {status}, 0"), deeper, too_deep)
        t.begin(too_deep)
        t.leave("null")
        t.begin(deeper)
        t.endings.append(_LEAVE)
        self._is_counted = True

    def _take_named_arguments(self, arguments: ast.arguments) -> None:
        t = self.t
        names = self.parameters
        given = t.variable(f"[{max(len(names), 1)} x ptr]")
        known = self.constant(tuple(names))
        status = t.call(
            "bind", "ptr %args", "i64 %nargs", "ptr %kwnames", f"ptr {known.name}",
            f"i64 {len(names)}", f"i64 {len(arguments.args)}", f"ptr {given}", kind="i32",
        )  # fmt: skip
        self._interpret_if(t.define(f"icmp slt i32 {status}, 0"))
        defaults = self.function.__defaults__ or ()
        fewest = len(arguments.args) - len(defaults)
        for index, name in enumerate(names):
            value = t.at(given, 8 * index)
            absent, there = t.new_label(), t.new_label()
            if index < fewest or (
                index >= len(arguments.args) and name not in (self.function.__kwdefaults__ or {})
            ):
                self._interpret_if(t.is_null(value))
                self._bind(name, value)
                continue
            found = t.join()
            t.branch(t.is_null(value), absent, there)
            t.begin(there)
            t.give(found, value)
            t.begin(absent)
            t.give(found, self._default_of(name).name)
            self._bind(name, t.merge(found))

    def _default_of(self, name: str) -> Value:
        only = self.function.__kwdefaults__ or {}
        if name in only:
            return self.default("keyword", name, only[name])
        defaults = self.function.__defaults__ or ()
        code = self.function.__code__
        place = code.co_varnames.index(name) - (code.co_argcount - len(defaults))
        return self.default("positional", place, defaults[place])

    def _bind(self, name: str, value: str) -> None:
        if name in self.cells:
            self.store(ast.Name(name, ast.Store()), Value(OBJECT, value))
        elif name in self.integers:
            raise Unsupported("a machine integer as a parameter")
        else:
            self.borrowed[name] = value

    def _interpret_if(self, truth: str) -> None:
        going_on = self.t.new_label()
        self.t.branch(truth, INTERPRET, going_on)
        self.t.begin(going_on)

    def _interpret(self) -> None:
        """Call the Python form with the arguments as they came."""
        t = self.t
        function = self.constant_at(("self",))
        arguments = f"ptr {function}", "ptr %args", "i64 %nargs", "ptr %kwnames"
        result = t.call("PyObject_Vectorcall", *arguments)
        if self._is_counted:
            t.line(_LEAVE)
        t.leave(result)

    # ---- statements --------------------------------------------------------------------------

    def _body(self, body: list[ast.stmt]) -> None:
        for statement in body:
            if not self.t.is_open:
                return
            method = getattr(self, f"_{type(statement).__name__.lower()}_statement", None)
            if method is None:
                raise Unsupported(f"{type(statement).__name__} at line {statement.lineno}")
            method(statement)

    def _expr_statement(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):
            self.t.drop(self.value(node.value))

    def _pass_statement(self, node: ast.Pass) -> None:
        pass

    def _assign_statement(self, node: ast.Assign) -> None:
        if len(node.targets) == 1:
            self.store(node.targets[0], self.value(node.value))
            return
        value = self.t.park(self.object(node.value))
        for target in node.targets:
            self.store(target, Value(OBJECT, value.name))
        self.t.drop(value)

    def _annassign_statement(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.store(node.target, self.value(node.value))

    def store(self, target: ast.expr, value: Value) -> None:
        t = self.t
        if isinstance(target, ast.Name):
            if target.id in self.integers:
                t.store(self.as_integer(value), self.integers[target.id], "i64")
            else:
                self._store_local(target.id, self.as_object(value))
        elif isinstance(target, ast.Attribute):
            value = t.park(self.as_object(value))
            owner = t.park(self.object(target.value))
            self.store_attribute(owner, target.attr, value)
        elif isinstance(target, ast.Subscript):
            self.store_item(target, self.as_object(value))
        elif isinstance(target, ast.Tuple):
            whole, parts = self.unpacked(self.as_object(value), len(target.elts))
            for part, item in zip(target.elts, parts):
                self.store(part, item)
            t.drop(whole)
        else:
            raise Unsupported(f"assignment to {type(target).__name__}")

    def _store_local(self, name: str, value: Value) -> None:
        t = self.t
        cell = self.cells[name]
        new = t.take(value)
        if name in self.touched:
            old = t.load(cell)
            t.store(new, cell)
            t.release_any(old)
        else:
            t.store(new, cell)
        self.touched.add(name)
        self.assigned.add(name)

    def _augassign_statement(self, node: ast.AugAssign) -> None:
        t = self.t
        target = node.target
        if isinstance(target, ast.Name) and target.id in self.integers:
            name = _EVALUATED.get(type(node.op))
            if name is None:
                raise Unsupported(type(node.op).__name__)
            more = self.as_integer(self.value(node.value))
            before = t.load(self.integers[target.id], "i64")
            after = t.define(f"{name} i64 {before}, {more}")
            t.store(after, self.integers[target.id], "i64")
            return
        function = _UPDATES.get(type(node.op))
        if function is None:
            raise Unsupported(type(node.op).__name__)
        if isinstance(target, ast.Name):
            name_node = ast.Name(target.id, ast.Load())
            self._store_local(target.id, self.new(function, *self.objects(name_node, node.value)))
        elif isinstance(target, ast.Attribute):
            owner = t.park(self.object(target.value))
            old = t.park(self.attribute(Value(OBJECT, owner.name), target.attr))
            new = self.new(function, old, self.object(node.value))
            self.store_attribute(owner, target.attr, new)
        else:
            raise Unsupported("an update of an element")

    def _delete_statement(self, node: ast.Delete) -> None:
        for target in node.targets:
            if isinstance(target, ast.Name) and target.id in self.cells:
                self.t.clear(self.cells[target.id])
                self.assigned.discard(target.id)
            elif isinstance(target, ast.Attribute):
                owner, null = self.object(target.value), Value(OBJECT, "null")
                self.status("PyObject_SetAttr", owner, self.constant(target.attr), null)
            elif isinstance(target, ast.Subscript):
                self.status("PyObject_DelItem", *self.objects(target.value, target.slice))
            else:
                raise Unsupported("del of something else")

    def _return_statement(self, node: ast.Return) -> None:
        self._return(node.value)

    def _return(self, expression: ast.expr | None) -> None:
        t = self.t
        if not t.is_open:
            return
        value = self.constant(None) if expression is None else self.object(expression)
        value = Value(OBJECT, t.take(value), owned=True)
        if self._finals:
            value = t.park(value)
            enclosing, inside = self._finals, t.failure
            state = self._state()
            for depth in range(len(enclosing) - 1, -1, -1):
                self._finals, t.failure = enclosing[:depth], enclosing[depth].failure
                self._body(enclosing[depth].body)
            self._finals, t.failure = enclosing, inside
            self._restore(state)
            t.take(value)
        for loop in self._loops:
            if loop.over is not None:
                self.end_iteration(loop.over)
        if self.rest_cell is not None:
            t.clear(self.rest_cell)
        for name in sorted(self.touched & set(self.cells)):
            held = t.load(self.cells[name])
            if name in self.assigned:
                t.release(held)
            else:
                t.release_any(held)
        if self._stash is not None:
            t.clear(self._stash)
        t.end()
        t.leave(value.name)

    # ---- which locals have a value -------------------------------------------------------------

    def _state(self) -> tuple[set[str], set[str]]:
        return set(self.assigned), set(self.touched)

    def _restore(self, state: tuple[set[str], set[str]]) -> None:
        self.assigned, self.touched = set(state[0]), set(state[1])

    def _either(self, first, was_open: bool, second, is_open: bool) -> None:
        """After two ways that meet again: what both assigned is assigned."""
        both = first[0] & second[0]
        if not was_open:
            both = second[0]
        elif not is_open:
            both = first[0]
        self.assigned, self.touched = set(both), first[1] | second[1]

    # ---- control -----------------------------------------------------------------------------

    def _if_statement(self, node: ast.If) -> None:
        t = self.t
        truth = self.truth(node.test)
        yes, no, end = t.new_label(), t.new_label(), t.new_label()
        t.branch(truth, yes, no)
        before = self._state()
        t.begin(yes)
        self._body(node.body)
        after_yes, yes_open = self._state(), t.is_open
        t.jump(end)
        self._restore(before)
        t.begin(no)
        self._body(node.orelse)
        after_no, no_open = self._state(), t.is_open
        t.jump(end)
        t.begin(end)
        self._either(after_yes, yes_open, after_no, no_open)

    def _while_statement(self, node: ast.While) -> None:
        t = self.t
        if node.orelse:
            raise Unsupported("while with else")
        again, body, end = t.new_label(), t.new_label(), t.new_label()
        self._enter_loop(node.body)
        t.begin(again)
        t.branch(self.truth(node.test), body, end)
        t.begin(body)
        self._loop_body(node.body, EnclosingLoop(again, end, None, len(self._finals)))
        t.begin(end)

    def _enter_loop(self, body: list[ast.stmt]) -> None:
        """A second round finds what the first one stored, or deleted."""
        stored = names_stored(body)
        self.touched |= stored

    def _loop_body(self, body: list[ast.stmt], loop: EnclosingLoop) -> None:
        before = self._state()
        self._loops.append(loop)
        self._body(body)
        self._loops.pop()
        self.t.jump(loop.again)
        self.assigned, self.touched = before[0] - names_deleted(body), self.touched | before[1]

    def _for_statement(self, node: ast.For) -> None:
        t = self.t
        if node.orelse:
            raise Unsupported("for with else")
        over = self.iteration(node.iter)
        again, end = t.new_label(), t.new_label()
        self._enter_loop([node])
        before = set(self.assigned)
        t.begin(again)
        self.advance(over, node.target, end)
        self._loop_body(node.body, EnclosingLoop(again, end, over, len(self._finals)))
        self.assigned = before - names_deleted(node.body)
        t.begin(end)
        self.end_iteration(over)

    def _continue_statement(self, node: ast.Continue) -> None:
        self._leave_loop(self._loops[-1].again)

    def _break_statement(self, node: ast.Break) -> None:
        self._leave_loop(self._loops[-1].end)

    def _leave_loop(self, label: str) -> None:
        if self._loops[-1].finals != len(self._finals):
            raise Unsupported("leaving a loop out of try")
        self.t.jump(label)

    def _assert_statement(self, node: ast.Assert) -> None:
        t = self.t
        good, bad = t.new_label(), t.new_label()
        t.branch(self.truth(node.test), good, bad)
        t.begin(bad)
        t.line(f"call void @PyErr_SetNone(ptr {self.global_name('AssertionError').name})")
        t.fail()
        t.begin(good)

    def _raise_statement(self, node: ast.Raise) -> None:
        t = self.t
        if node.exc is None or node.cause is not None:
            raise Unsupported("raise without an exception, or with a cause")
        error = t.park(self.object(node.exc))
        # The interpreter makes an instance of a class.
        is_class = self._asked(
            "instance_of", error._replace(owned=False), Value(OBJECT, self.class_(type))
        )
        kind, instance = t.new_label(), t.new_label()
        t.branch(self._flag(is_class), kind, instance)
        t.begin(kind)
        t.line(f"call void @PyErr_SetNone(ptr {error.name})")
        t.fail()
        t.begin(instance)
        own_kind = t.at(error.name, t.layout.type)
        t.line(f"call void @PyErr_SetObject(ptr {own_kind}, ptr {error.name})")
        t.fail()
        # The way of errors empties the cell; no later code may use it as a free one before that.

    def _with_statement(self, node: ast.With) -> None:
        """A lock of the module, whose `__exit__` looks at no error: taken and let go of."""
        (item, *more) = node.items
        if more or item.optional_vars or not isinstance(self.meaning(item.context_expr), _LOCKS):
            raise Unsupported("with, other than a lock")
        self.t.drop(self.value(_method_call(item.context_expr, "acquire")))
        release = ast.Expr(_method_call(item.context_expr, "release"))
        self._try_finally(ast.Try(node.body, [], [], [release]))

    def _try_statement(self, node: ast.Try) -> None:
        if not node.finalbody:
            self._try_except(node)
        elif node.handlers or node.orelse:
            raise Unsupported("try with both except and finally")
        else:
            self._try_finally(node)

    def _try_finally(self, node: ast.Try) -> None:
        t = self.t
        handler, end = t.new_label(), t.new_label()
        outside, known = t.failure, set(t.cells)
        before = self._state()
        t.failure = handler
        self._finals.append(Final(node.finalbody, outside))
        self._body(node.body)
        self._finals.pop()
        t.failure = outside
        after = self._state()
        self._body(node.finalbody)
        t.jump(end)
        self._restore((before[0], after[1]))
        t.begin(handler)
        parts = [t.variable("ptr") for _ in range(3)]
        t.line(f"call void @PyErr_Fetch({', '.join(f'ptr {part}' for part in parts)})")
        self._clear_abandoned(known)
        self._body(node.finalbody)
        t.line(f"call void @PyErr_Restore({', '.join(f'ptr {t.load(part)}' for part in parts)})")
        t.fail()
        self._restore(after)
        t.begin(end)

    def _try_except(self, node: ast.Try) -> None:
        t = self.t
        if len(node.handlers) != 1 or node.handlers[0].name or node.handlers[0].type is None:
            raise Unsupported("except other than one clause without a name")
        (clause,) = node.handlers
        handler, caught, end = t.new_label(), t.new_label(), t.new_label()
        outside, known = t.failure, set(t.cells)
        before = self._state()
        t.failure = handler
        self._body(node.body)
        t.failure = outside
        self._body(node.orelse)
        after, was_open = self._state(), t.is_open
        t.jump(end)
        self._restore((before[0], after[1]))
        t.begin(handler)
        assert clause.type is not None
        wanted = self.value(clause.type)
        matches = t.call("PyErr_ExceptionMatches", f"ptr {wanted.name}", kind="i32")
        t.branch(t.define(f"icmp ne i32 {matches}, 0"), caught, t.failure)
        t.begin(caught)
        t.line("call void @PyErr_Clear()")
        self._clear_abandoned(known)
        self._body(clause.body)
        is_open, handled = t.is_open, self._state()
        t.jump(end)
        self._either(after, was_open, handled, is_open)
        t.begin(end)

    def _clear_abandoned(self, known: set[str]) -> None:
        """Release what an error inside of `try` left: parked values, and loops' iterators."""
        self.t.clear_parked()
        for cell in self.t.cells:
            if cell not in known and cell not in (self._stash, *self.cells.values()):
                self.t.clear(cell)
