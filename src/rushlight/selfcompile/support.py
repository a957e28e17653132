"""The functions that a module of machine code shares among its own: attributes of known classes.

Level 9.
"""

from __future__ import annotations

from rushlight.base.hot import MOST_RUNNING
from rushlight.selfcompile.interface import (
    BUILTINS,
    C_INTERFACE,
    NONE,
    OBJECT_NEW,
    RUNNING_SYMBOL,
    SHARED,
    place_of_subclass,
)
from rushlight.selfcompile.layout import ObjectLayout, SlotTable
from rushlight.selfcompile.support_text import STASH, SupportText


class Support(SupportText):
    """The functions that a module's text uses; `text` gives their definitions.

    plain_counts: whether the interpreter counts every object's references by adding and
        subtracting 1; else its own functions do it.
    names: names of attributes, which follow the shared objects in the module's table.
    """

    def __init__(self, layout: ObjectLayout, slots: SlotTable, plain_counts: bool) -> None:
        self.layout = layout
        self.slots = slots
        self.plain_counts = plain_counts
        self.names: list[str] = []
        self._places = {cls: BUILTINS + i for i, cls in enumerate(slots.classes)}
        self._made: dict[str, str] = {}

    def name_place(self, name: str) -> int:
        """Where the name of an attribute lies in the module's table."""
        if name not in self.names:
            self.names.append(name)
        return self._count_of_objects() + self.names.index(name)

    def _count_of_objects(self) -> int:
        return BUILTINS + len(self.slots.classes) + len(self.slots.with_subclass)

    def reader(self, name: str, held: bool) -> str:
        """A function that gives an attribute: a reference for the caller, or, not held, an object
        that the owner keeps, or a list in the cell that is the second argument.  Null: an error."""
        function = f"take_{name}" if held else f"see_{name}"
        if function not in self._made:
            self._made[function] = self._reader_text(function, name, held)
        return function

    def _reader_text(self, function: str, name: str, held: bool) -> str:
        arguments = "ptr %object" if held else "ptr %object, ptr %stash"
        lines = [f"define internal ptr @{function}({arguments}) {{", *self._class_of_object()]
        for number, (place, offset) in enumerate(self._holders(name)):
            lines += self._slot_if_class(number, place, offset)
            lines += [
                f"  %n{number} = icmp eq ptr %v{number}, null",
                f"  br i1 %n{number}, label %slow, label %found{number}",
                f"found{number}:",
            ]
            if held:
                lines.append(f"  call void @retain(ptr %v{number})")
            lines += [f"  ret ptr %v{number}", f"other{number}:"]
        lines += [
            "  br label %slow",
            "slow:",
            *self._load_shared("%name", self.name_place(name)),
            "  %found = call ptr @PyObject_GetAttr(ptr %object, ptr %name)",
        ]
        if held:
            lines += ["  ret ptr %found", "}"]
        else:
            lines += ["  %kept = call ptr @stash(ptr %stash, ptr %found)", "  ret ptr %kept", "}"]
        return "\n".join(lines)

    def writer(self, name: str) -> str:
        """A function that sets an attribute of a known class and takes the reference; i32, negative
        for an error."""
        function = f"set_{name}"
        if function not in self._made:
            self._made[function] = self._writer_text(function, name)
        return function

    def _writer_text(self, function: str, name: str) -> str:
        head = f"define internal i32 @{function}(ptr %object, ptr %value) {{"
        lines = [head, *self._class_of_object()]
        for number, (place, offset) in enumerate(self._holders(name)):
            lines += self._slot_if_class(number, place, offset)
            lines += [
                f"  store ptr %value, ptr %p{number}",
                f"  call void @release_any(ptr %v{number})",
                "  ret i32 0",
                f"other{number}:",
            ]
        lines += [
            *self._load_shared("%name", self.name_place(name)),
            "  %status = call i32 @PyObject_SetAttr(ptr %object, ptr %name, ptr %value)",
            "  call void @release(ptr %value)",
            "  ret i32 %status",
            "}",
        ]
        return "\n".join(lines)

    def thread_local(self, owner: str, name: str) -> str:
        """A function that gives an attribute of a `threading.local`: a reference for the caller.

        Its first argument is the object, its second the attribute's name.  The value is looked up
        when another thread asks than the one before, so no thread may ever set it anew.
        """
        function = f"own_{owner}_{name}"
        if function not in self._made:
            self._made[function] = f"""
@thread_of_{function} = internal global i64 -1
@value_of_{function} = internal global ptr null
define internal ptr @{function}(ptr %object, ptr %name) {{
  %state = call ptr @PyThreadState_Get()
  %thread = call i64 @PyThreadState_GetID(ptr %state)
  %last = load i64, ptr @thread_of_{function}
  %same = icmp eq i64 %thread, %last
  br i1 %same, label %known, label %ask
known:
  %held = load ptr, ptr @value_of_{function}
  call void @retain(ptr %held)
  ret ptr %held
ask:
  %found = call ptr @PyObject_GetAttr(ptr %object, ptr %name)
  %none = icmp eq ptr %found, null
  br i1 %none, label %failed, label %good
failed:
  ret ptr null
good:
  call void @retain(ptr %found)
  %old = load ptr, ptr @value_of_{function}
  store ptr %found, ptr @value_of_{function}
  store i64 %thread, ptr @thread_of_{function}
  call void @release_any(ptr %old)
  ret ptr %found
}}"""
        return function

    def _holders(self, name: str) -> list[tuple[int, int]]:
        """(place of a class, offset) for each class that has such a slot."""
        found = []
        for cls, offset in self.slots.slots[name]:
            found.append((self._places[cls], offset))
            later = place_of_subclass(self.slots, cls)
            if later is not None:
                found.append((later, offset))
        return found

    def _slot_if_class(self, number: int, place: int, offset: int) -> list[str]:
        """Where %object is of the class at a place of the table: its slot, and what is in it."""
        return [
            *self._load_shared(f"%c{number}", place),
            f"  %is{number} = icmp eq ptr %class, %c{number}",
            f"  br i1 %is{number}, label %there{number}, label %other{number}",
            f"there{number}:",
            f"  %p{number} = getelementptr i8, ptr %object, i64 {offset}",
            f"  %v{number} = load ptr, ptr %p{number}",
        ]

    # ---- the text ----------------------------------------------------------------------------

    def text(self) -> str:
        """Declarations and definitions."""
        # First, since it may need more names.
        lists = self._lists()
        lines = []
        for name, kind in C_INTERFACE.items():
            result, _, rest = kind.partition(" ")
            lines.append(f"declare {result} @{name}{rest}")
        lines.append(f"declare ptr @{OBJECT_NEW}(ptr, ptr, ptr)")
        lines.append(f"@{RUNNING_SYMBOL} = external global [{1 + 2 * MOST_RUNNING} x i64]")
        count = self._count_of_objects() + len(self.names)
        lines.append(f"@{SHARED} = global [{count} x ptr] zeroinitializer")
        lines += [self._counting(), STASH, lists, self._comparing(), self._binding()]
        return "\n".join([*lines, *self._made.values()])

    def first_unshared(self) -> str:
        """A function with the meaning of `base.references.first_unshared`."""
        function = "first_unshared"
        self._made[function] = f"""
define internal i64 @{function}(ptr %object) {{
  %size_at = getelementptr i8, ptr %object, i64 {self.layout.size}
  %size = load i64, ptr %size_at
  %items_at = getelementptr i8, ptr %object, i64 {self.layout.list_items}
  %items = load ptr, ptr %items_at
  br label %loop
loop:
  %i = phi i64 [0, %0], [%next, %one]
  %done = icmp sge i64 %i, %size
  br i1 %done, label %none, label %one
one:
  %item_at = getelementptr ptr, ptr %items, i64 %i
  %item = load ptr, ptr %item_at
  %count_at = getelementptr i8, ptr %item, i64 {self.layout.count}
  %count = load i32, ptr %count_at
  %alone = icmp eq i32 %count, 1
  %next = add i64 %i, 1
  br i1 %alone, label %found, label %loop
found:
  ret i64 %i
none:
  ret i64 -1
}}"""
        return function

    def counter(self, cls: type) -> str:
        """A function with the meaning of `pending_counts`, for lists of objects of a class.

        Counts are the low 32 bits of their word: since CPython 3.14 the others hold flags.
        """
        function = "pending_counts"
        (offset,) = [place for known, place in self.slots.slots["value"] if known is cls]
        self._made[function] = f"""
define internal ptr @{function}(ptr %object) {{
  %size_at = getelementptr i8, ptr %object, i64 {self.layout.size}
  %size = load i64, ptr %size_at
  %items_at = getelementptr i8, ptr %object, i64 {self.layout.list_items}
  %items = load ptr, ptr %items_at
  %none = load ptr, ptr {self._shared(NONE)}
  %bytes = call ptr @PyBytes_FromStringAndSize(ptr null, i64 %size)
  %lost = icmp eq ptr %bytes, null
  br i1 %lost, label %failed, label %begin
begin:
  %text = call ptr @PyBytes_AsString(ptr %bytes)
  br label %loop
loop:
  %i = phi i64 [0, %begin], [%next, %one]
  %done = icmp sge i64 %i, %size
  br i1 %done, label %end, label %one
one:
  %item_at = getelementptr ptr, ptr %items, i64 %i
  %item = load ptr, ptr %item_at
  %value_at = getelementptr i8, ptr %item, i64 {offset}
  %value = load ptr, ptr %value_at
  %pending = icmp eq ptr %value, %none
  %count_at = getelementptr i8, ptr %item, i64 {self.layout.count}
  %count = load i32, ptr %count_at
  %others = sub i32 %count, 1
  %many = icmp ugt i32 %others, 255
  %limited = select i1 %many, i32 255, i32 %others
  %shown = select i1 %pending, i32 %limited, i32 0
  %byte = trunc i32 %shown to i8
  %place = getelementptr i8, ptr %text, i64 %i
  store i8 %byte, ptr %place
  %next = add i64 %i, 1
  br label %loop
end:
  ret ptr %bytes
failed:
  ret ptr null
}}"""
        return function
