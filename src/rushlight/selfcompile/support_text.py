"""The text that every module of machine code begins with, apart from what depends on its functions.

What many places of a function need is written once, as a function of the module: a call costs a
nanosecond, and the text of the same instructions everywhere would take seconds to compile.
Level 9.
"""

from __future__ import annotations

from rushlight.base.hot import MOST_RUNNING
from rushlight.selfcompile.interface import (
    BUILTINS,
    FALSE,
    INT,
    LIST,
    RUNNING_SYMBOL,
    SHARED,
    STR,
    TRUE,
    TUPLE,
)
from rushlight.selfcompile.layout import ObjectLayout, SlotTable


class SupportText:
    """Counting references, lists, ints, comparisons, arguments.

    plain_counts: whether the interpreter counts every object's references by adding and
        subtracting 1; else its own functions do it.
    """

    def __init__(self, layout: ObjectLayout, slots: SlotTable, plain_counts: bool) -> None:
        self.layout = layout
        self.slots = slots
        self.plain_counts = plain_counts
        self._places = {cls: BUILTINS + i for i, cls in enumerate(slots.classes)}

    def name_place(self, name: str) -> int:
        """Where the name of an attribute lies in the module's table."""
        raise NotImplementedError

    def _class_of_object(self) -> list[str]:
        return [
            f"  %class_at = getelementptr i8, ptr %object, i64 {self.layout.type}",
            "  %class = load ptr, ptr %class_at",
        ]

    @staticmethod
    def _load_shared(name: str, place: int) -> list[str]:
        at = f"getelementptr (ptr, ptr @{SHARED}, i64 {place})"
        return [f"  {name} = load ptr, ptr {at}"]

    def _shared(self, place: int) -> str:
        return f"getelementptr (ptr, ptr @{SHARED}, i64 {place})"

    def _dispatch(self, prefix: str, places: list[int], yes: str, no: str) -> str:
        """Go to `yes` if %class is one of the shared objects at these places."""
        lines = []
        for number, place in enumerate(places):
            following = f"{prefix}{number + 1}" if number + 1 < len(places) else no
            lines += [
                f"  %{prefix}c{number} = load ptr, ptr {self._shared(place)}",
                f"  %{prefix}t{number} = icmp eq ptr %class, %{prefix}c{number}",
                f"  br i1 %{prefix}t{number}, label %{yes}, label %{following}",
            ]
            if following != no:
                lines.append(f"{following}:")
        return "\n".join(lines)

    def _counting(self) -> str:
        if self.plain_counts:
            place = f"getelementptr i8, ptr %object, i64 {self.layout.count}"
            retain = f"""
  %place = {place}
  %count = load i64, ptr %place
  %more = add i64 %count, 1
  store i64 %more, ptr %place
  ret void"""
            release = f"""
  %place = {place}
  %count = load i64, ptr %place
  %less = sub i64 %count, 1
  store i64 %less, ptr %place
  %last = icmp eq i64 %less, 0
  br i1 %last, label %end, label %on
end:
  tail call void @_Py_Dealloc(ptr %object)
  ret void
on:
  ret void"""
        else:
            retain = "\n  call void @Py_IncRef(ptr %object)\n  ret void"
            release = "\n  call void @Py_DecRef(ptr %object)\n  ret void"
        return f"""
define internal void @retain(ptr %object) {{{retain}
}}
define internal void @release(ptr %object) {{{release}
}}
define internal void @release_any(ptr %object) {{
  %none = icmp eq ptr %object, null
  br i1 %none, label %on, label %some
some:
  tail call void @release(ptr %object)
  ret void
on:
  ret void
}}
define internal void @clear(ptr %cell) {{
  %object = load ptr, ptr %cell
  store ptr null, ptr %cell
  tail call void @release_any(ptr %object)
  ret void
}}
"""

    def _short_integer(self) -> str:
        """Return an int of one or two digits, where they can be read; else go on."""
        layout = self.layout
        if layout.digits is None:
            return ""
        return f"""{chr(10).join(self._class_of_object())}
  %int = load ptr, ptr {self._shared(INT)}
  %is_int = icmp eq ptr %class, %int
  br i1 %is_int, label %sized, label %long
sized:
  %size_at = getelementptr i8, ptr %object, i64 {layout.size}
  %size = load i64, ptr %size_at
  %first_at = getelementptr i8, ptr %object, i64 {layout.digits}
  switch i64 %size, label %long [
    i64 0, label %zero
    i64 1, label %one
    i64 2, label %two
  ]
zero:
  store i1 false, ptr %failed
  ret i64 0
one:
  %digit = load i32, ptr %first_at
  %small = zext i32 %digit to i64
  store i1 false, ptr %failed
  ret i64 %small
two:
  %low32 = load i32, ptr %first_at
  %second_at = getelementptr i8, ptr %first_at, i64 4
  %high32 = load i32, ptr %second_at
  %low = zext i32 %low32 to i64
  %high64 = zext i32 %high32 to i64
  %high = shl i64 %high64, 30
  %both = or i64 %high, %low
  store i1 false, ptr %failed
  ret i64 %both
long:"""

    def _lists(self) -> str:
        size = f"getelementptr i8, ptr %object, i64 {self.layout.size}"
        kinds = [self._places[cls] for cls in self.slots.lists]
        return f"""
define internal i64 @length(ptr %object) {{
{chr(10).join(self._class_of_object())}
{self._dispatch("l", [TUPLE, LIST, *kinds], "quick", "slow")}
quick:
  %size_at = {size}
  %size = load i64, ptr %size_at
  ret i64 %size
slow:
  %other = call i64 @PyObject_Size(ptr %object)
  ret i64 %other
}}
define internal i32 @append(ptr %object, ptr %item) {{
{chr(10).join(self._class_of_object())}
{self._dispatch("a", [LIST, *kinds], "quick", "slow")}
quick:
  %status = call i32 @PyList_Append(ptr %object, ptr %item)
  ret i32 %status
slow:
{chr(10).join(self._load_shared("%name", self.name_place("append")))}
  %args = alloca [2 x ptr]
  store ptr %object, ptr %args
  %second = getelementptr ptr, ptr %args, i64 1
  store ptr %item, ptr %second
  %found = call ptr @PyObject_VectorcallMethod(ptr %name, ptr %args, i64 2, ptr null)
  %failed = icmp eq ptr %found, null
  br i1 %failed, label %lost, label %good
lost:
  ret i32 -1
good:
  call void @release(ptr %found)
  ret i32 0
}}
define internal ptr @items_of(ptr %object) {{
{chr(10).join(self._class_of_object())}
  %tuple = load ptr, ptr {self._shared(TUPLE)}
  %is_tuple = icmp eq ptr %class, %tuple
  br i1 %is_tuple, label %in_tuple, label %no_tuple
in_tuple:
  %first = getelementptr i8, ptr %object, i64 {self.layout.tuple_items}
  ret ptr %first
no_tuple:
{self._dispatch("i", [LIST, *kinds], "in_list", "other")}
in_list:
  %items_at = getelementptr i8, ptr %object, i64 {self.layout.list_items}
  %items = load ptr, ptr %items_at
  ; An empty list may have no memory; null says that it is neither list nor tuple.
  %empty = icmp eq ptr %items, null
  %somewhere = select i1 %empty, ptr %object, ptr %items
  ret ptr %somewhere
other:
  ret ptr null
}}
define internal ptr @begin_loop(ptr %object) {{
{chr(10).join(self._class_of_object())}
{self._dispatch("b", [TUPLE, LIST, *kinds], "itself", "other")}
itself:
  call void @retain(ptr %object)
  ret ptr %object
other:
  %iterator = call ptr @PyObject_GetIter(ptr %object)
  ret ptr %iterator
}}
define internal ptr @next_of(ptr %object, ptr %place) {{
  %base = call ptr @items_of(ptr %object)
  %unknown = icmp eq ptr %base, null
  br i1 %unknown, label %slow, label %quick
quick:
  %size_at = {size}
  %size = load i64, ptr %size_at
  %index = load i64, ptr %place
  %inside = icmp ult i64 %index, %size
  br i1 %inside, label %there, label %over
there:
  %next = add i64 %index, 1
  store i64 %next, ptr %place
  %content_at = getelementptr ptr, ptr %base, i64 %index
  %content = load ptr, ptr %content_at
  call void @retain(ptr %content)
  ret ptr %content
over:
  ret ptr null
slow:
  %item = call ptr @PyIter_Next(ptr %object)
  ret ptr %item
}}
define internal ptr @element(ptr %object, i64 %index) {{
  %base = call ptr @items_of(ptr %object)
  %unknown = icmp eq ptr %base, null
  br i1 %unknown, label %slow, label %quick
quick:
  %size_at = {size}
  %size = load i64, ptr %size_at
  %inside = icmp ult i64 %index, %size
  br i1 %inside, label %there, label %slow
there:
  %place = getelementptr ptr, ptr %base, i64 %index
  %content = load ptr, ptr %place
  call void @retain(ptr %content)
  ret ptr %content
slow:
  %key = call ptr @PyLong_FromLongLong(i64 %index)
  %none = icmp eq ptr %key, null
  br i1 %none, label %failed, label %ask
failed:
  ret ptr null
ask:
  %other = call ptr @PyObject_GetItem(ptr %object, ptr %key)
  call void @release(ptr %key)
  ret ptr %other
}}
"""

    def _binding(self) -> str:
        """Arguments and those given by name to their places; -1 for what does not fit."""
        return f"""
define internal i32 @bind(
  ptr %args, i64 %nargs, ptr %kwnames, ptr %names, i64 %count, i64 %positional, ptr %out
) {{
  %many = icmp ugt i64 %nargs, %positional
  br i1 %many, label %bad, label %fill
fill:
  %i = phi i64 [0, %0], [%i1, %put]
  %filled = icmp eq i64 %i, %count
  br i1 %filled, label %named, label %put
put:
  %given = icmp ult i64 %i, %nargs
  %from = getelementptr ptr, ptr %args, i64 %i
  %zero = select i1 %given, ptr %from, ptr @nothing
  %object = load ptr, ptr %zero
  %into = getelementptr ptr, ptr %out, i64 %i
  store ptr %object, ptr %into
  %i1 = add i64 %i, 1
  br label %fill
named:
  %none = icmp eq ptr %kwnames, null
  br i1 %none, label %good, label %begin
begin:
  %size_at = getelementptr i8, ptr %kwnames, i64 {self.layout.size}
  %size = load i64, ptr %size_at
  %keys = getelementptr i8, ptr %kwnames, i64 {self.layout.tuple_items}
  %known = getelementptr i8, ptr %names, i64 {self.layout.tuple_items}
  %values = getelementptr ptr, ptr %args, i64 %nargs
  br label %next
next:
  %k = phi i64 [0, %begin], [%k1, %found]
  %done = icmp eq i64 %k, %size
  br i1 %done, label %good, label %search
search:
  %key_at = getelementptr ptr, ptr %keys, i64 %k
  %key = load ptr, ptr %key_at
  br label %try
try:
  %j = phi i64 [0, %search], [%j1, %other]
  %over = icmp eq i64 %j, %count
  br i1 %over, label %bad, label %look
look:
  %name_at = getelementptr ptr, ptr %known, i64 %j
  %name = load ptr, ptr %name_at
  %j1 = add i64 %j, 1
  %same = icmp eq ptr %name, %key
  br i1 %same, label %place, label %other
other:
  br label %try
place:
  %there = getelementptr ptr, ptr %out, i64 %j
  %before = load ptr, ptr %there
  %twice = icmp ne ptr %before, null
  br i1 %twice, label %bad, label %found
found:
  %value_at = getelementptr ptr, ptr %values, i64 %k
  %value = load ptr, ptr %value_at
  store ptr %value, ptr %there
  %k1 = add i64 %k, 1
  br label %next
good:
  ret i32 0
bad:
  ret i32 -1
}}
@nothing = internal global ptr null
@where = internal constant [25 x i8] c" while running rushlight\\00"
"""

    def _comparing(self) -> str:
        return f"""
define internal i32 @truth_of(ptr %object) {{
  %true = load ptr, ptr {self._shared(TRUE)}
  %is_true = icmp eq ptr %object, %true
  br i1 %is_true, label %yes, label %unsure
unsure:
  %false = load ptr, ptr {self._shared(FALSE)}
  %is_false = icmp eq ptr %object, %false
  br i1 %is_false, label %no, label %ask
ask:
  %status = call i32 @PyObject_IsTrue(ptr %object)
  ret i32 %status
yes:
  ret i32 1
no:
  ret i32 0
}}
define internal i32 @compare(ptr %x, ptr %y, i32 %how) {{
  %found = call ptr @PyObject_RichCompare(ptr %x, ptr %y, i32 %how)
  %none = icmp eq ptr %found, null
  br i1 %none, label %failed, label %good
failed:
  ret i32 -1
good:
  %truth = call i32 @truth_of(ptr %found)
  call void @release(ptr %found)
  ret i32 %truth
}}
define internal i32 @equal(ptr %object, ptr %y) {{
  %same = icmp eq ptr %object, %y
  br i1 %same, label %one, label %ask
one:
{chr(10).join(self._class_of_object())}
{self._dispatch("q", [INT, STR], "yes", "ask")}
yes:
  ret i32 1
ask:
  %status = call i32 @compare(ptr %object, ptr %y, i32 2)
  ret i32 %status
}}
define internal i32 @unequal(ptr %object, ptr %y) {{
  %same = icmp eq ptr %object, %y
  br i1 %same, label %one, label %ask
one:
{chr(10).join(self._class_of_object())}
{self._dispatch("q", [INT, STR], "no", "ask")}
no:
  ret i32 0
ask:
  %status = call i32 @compare(ptr %object, ptr %y, i32 3)
  ret i32 %status
}}
define internal i32 @is_number(ptr %object, i64 %number) {{
{chr(10).join(self._class_of_object())}
  %int = load ptr, ptr {self._shared(INT)}
  %is_int = icmp eq ptr %class, %int
  br i1 %is_int, label %look, label %unsure
unsure:
  ret i32 2
look:
  %large = alloca i32
  %value = call i64 @PyLong_AsLongLongAndOverflow(ptr %object, ptr %large)
  %over = load i32, ptr %large
  %fits = icmp eq i32 %over, 0
  %equal = icmp eq i64 %value, %number
  %both = and i1 %fits, %equal
  %result = zext i1 %both to i32
  ret i32 %result
}}
define internal i64 @integer_of(ptr %object, ptr %failed) {{
{self._short_integer()}
  %number = call i64 @PyLong_AsLongLong(ptr %object)
  %unsure = icmp eq i64 %number, -1
  br i1 %unsure, label %look, label %good
look:
  %error = call ptr @PyErr_Occurred()
  %is_error = icmp ne ptr %error, null
  store i1 %is_error, ptr %failed
  ret i64 %number
good:
  store i1 false, ptr %failed
  ret i64 %number
}}
define internal i32 @instance_of(ptr %object, ptr %wanted) {{
{chr(10).join(self._class_of_object())}
  %exact = icmp eq ptr %class, %wanted
  br i1 %exact, label %yes, label %ask
yes:
  ret i32 1
ask:
  %status = call i32 @PyObject_IsInstance(ptr %object, ptr %wanted)
  ret i32 %status
}}
"""


STASH = (
    f"""
define internal void @announce(ptr %name) {{
  %depth = load i64, ptr @{RUNNING_SYMBOL}
  %last = urem i64 %depth, {MOST_RUNNING}
  %pair = shl i64 %last, 1
  %index = add i64 %pair, 1
  %place = getelementptr i64, ptr @{RUNNING_SYMBOL}, i64 %index
  store ptr %name, ptr %place
  %caller = call ptr @PyEval_GetGlobals()
  %after = getelementptr i64, ptr %place, i64 1
  store ptr %caller, ptr %after
  %deeper = add i64 %depth, 1
  store i64 %deeper, ptr @{RUNNING_SYMBOL}
  ret void
}}
define internal void @retire() {{
  %depth = load i64, ptr @{RUNNING_SYMBOL}
  %less = sub i64 %depth, 1
  store i64 %less, ptr @{RUNNING_SYMBOL}
  ret void
}}
"""
    + """
define internal void @gather(i64 %target, i64 %source, i64 %places, i64 %count) {
  %into = inttoptr i64 %target to ptr
  %from = inttoptr i64 %source to ptr
  %which = inttoptr i64 %places to ptr
  br label %loop
loop:
  %i = phi i64 [0, %0], [%next, %one]
  %done = icmp sge i64 %i, %count
  br i1 %done, label %end, label %one
one:
  %which_at = getelementptr i64, ptr %which, i64 %i
  %place = load i64, ptr %which_at
  %from_at = getelementptr i64, ptr %from, i64 %place
  %word = load i64, ptr %from_at
  %into_at = getelementptr i64, ptr %into, i64 %i
  store i64 %word, ptr %into_at
  %next = add i64 %i, 1
  br label %loop
end:
  ret void
}
define internal i32 @rest(ptr %cell, ptr %args, i64 %nargs, i64 %before, i64 %items) {
  %there = load ptr, ptr %cell
  %none = icmp eq ptr %there, null
  br i1 %none, label %make, label %good
make:
  %many = icmp ugt i64 %nargs, %before
  %more = sub i64 %nargs, %before
  %count = select i1 %many, i64 %more, i64 0
  %tuple = call ptr @PyTuple_New(i64 %count)
  store ptr %tuple, ptr %cell
  %lost = icmp eq ptr %tuple, null
  br i1 %lost, label %failed, label %fill
fill:
  %into = getelementptr i8, ptr %tuple, i64 %items
  %from = getelementptr ptr, ptr %args, i64 %before
  br label %loop
loop:
  %i = phi i64 [0, %fill], [%next, %one]
  %done = icmp eq i64 %i, %count
  br i1 %done, label %good, label %one
one:
  %source = getelementptr ptr, ptr %from, i64 %i
  %object = load ptr, ptr %source
  call void @retain(ptr %object)
  %place = getelementptr ptr, ptr %into, i64 %i
  store ptr %object, ptr %place
  %next = add i64 %i, 1
  br label %loop
good:
  ret i32 0
failed:
  ret i32 -1
}
define internal ptr @stash(ptr %cell, ptr %object) {
  %lost = icmp eq ptr %object, null
  br i1 %lost, label %failed, label %start
start:
  %list = load ptr, ptr %cell
  %none = icmp eq ptr %list, null
  br i1 %none, label %make, label %add
make:
  %new = call ptr @PyList_New(i64 0)
  store ptr %new, ptr %cell
  %poor = icmp eq ptr %new, null
  br i1 %poor, label %drop, label %add
add:
  %all = load ptr, ptr %cell
  %status = call i32 @PyList_Append(ptr %all, ptr %object)
  %bad = icmp slt i32 %status, 0
  br i1 %bad, label %drop, label %good
good:
  call void @release(ptr %object)
  ret ptr %object
drop:
  call void @release(ptr %object)
  ret ptr null
failed:
  ret ptr null
}
"""
)
