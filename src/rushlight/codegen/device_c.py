"""A grid kernel as C-like text: OpenCL C, or Metal's language.

In: the lines of the abstract machine, which are a small and regular part of LLVM's language: loops
that test at their head, no other branches.  Out: one kernel function.  Threads of a warp that
exchange words do so through memory that a group of threads shares, so that nothing but barriers is
asked of the device; a kernel whose threads meet only within warps runs with one warp to a group.
Level 7.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, replace

from rushlight.codegen.grid import (
    BLOCK_BARRIER,
    BLOCKS,
    DOWN,
    FIRST,
    GROUP_MULTIPLY,
    MULTIPLY,
    PLACE,
    SHARED,
    STEADY,
    THREAD,
    WARP,
    GridKernel,
    NoKernel,
)

_UNSIGNED = {
    "i1": "bool", "i8": "uchar", "i16": "ushort", "i32": "uint", "i64": "ulong", "float": "float",
    "double": "double", "half": "half",
}  # fmt: skip
_SIGNED = {"i8": "char", "i16": "short", "i32": "int", "i64": "long"}
_BITS = {"i8": 8, "i16": 16, "i32": 32, "i64": 64}
_BINARY = {
    "add": "+", "sub": "-", "mul": "*", "and": "&", "or": "|", "xor": "^", "shl": "<<",
    "lshr": ">>", "udiv": "/", "urem": "%", "fadd": "+", "fsub": "-", "fmul": "*", "fdiv": "/",
}  # fmt: skip
_SIGNED_BINARY = {"sdiv": "/", "srem": "%", "ashr": ">>"}
_INTEGER = {
    "eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">=",
}  # fmt: skip
_ORDERED = {
    "oeq": "==", "ogt": ">", "oge": ">=", "olt": "<", "ole": "<=", "une": "!=",
}  # fmt: skip
# Unordered comparisons are what the opposite ordered one denies.
_UNORDERED = {"ult": ">=", "ule": ">", "ugt": "<=", "uge": "<"}
_FUNCTIONS = {
    "fma": "fma", "fabs": "fabs", "sqrt": "sqrt", "floor": "floor", "ceil": "ceil",
    "trunc": "trunc", "rint": "rint", "roundeven": "rint", "nearbyint": "rint",
    "copysign": "copysign", "ctpop": "popcount", "umin": "min", "umax": "max",
}  # fmt: skip


@dataclass(frozen=True)
class Dialect:
    """What differs between the languages.

    whole: global memory of a pointer; shared: that of a group; own: a thread's; cast: the bits as
    another type.
    """

    name: str
    whole: str
    shared: str
    own: str
    cast: str
    barrier: str
    has_double: bool
    head: str

    @property
    def is_opencl(self) -> bool:
        """Whether it is OpenCL C, with or without double."""
        return self.whole == "__global"


OPENCL = Dialect(
    "OpenCL C", "__global", "__local", "__private", "as_{type}({value})",
    "barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);", True,
    "#pragma OPENCL FP_CONTRACT OFF\n"
    "float half_read(ushort x) { return vload_half(0, (__private half *)&x); }\n"
    "ushort half_written(float x) { ushort h; vstore_half_rte(x, 0, (__private half *)&h); "
    "return h; }\n",
)  # fmt: skip
# Of devices without it, as many of Intel's are.
OPENCL_SINGLE = replace(OPENCL, has_double=False)
METAL = Dialect(
    "Metal", "device", "threadgroup", "thread", "as_type<{type}>({value})",
    "threadgroup_barrier(mem_flags::mem_device | mem_flags::mem_threadgroup);", False,
    "#include <metal_stdlib>\n#pragma METAL fp contract(off)\nusing namespace metal;\n"
    "float half_read(ushort x) { return float(as_type<half>(x)); }\n"
    "ushort half_written(float x) { return as_type<ushort>(half(x)); }\n",
)  # fmt: skip


@dataclass(frozen=True)
class DeviceText:
    """The text of a kernel, and how it is launched.

    local: threads of a group; split: groups that stand for one block of the abstract machine;
    single: whether floating parameters are taken as float, since the device has no double.
    """

    name: str
    text: str
    local: int
    split: int
    single: bool = False


def device_text(kernel: GridKernel, dialect: Dialect = OPENCL) -> DeviceText:
    """The text of a kernel.  Raises: NoKernel for what the language has no words for."""
    return _Writer(kernel, dialect).written()


class _Writer:
    def __init__(self, kernel: GridKernel, dialect: Dialect) -> None:
        self.kernel, self.dialect = kernel, dialect
        self.lines: list[str] = []
        self.depth = 1
        self.whole = f" {BLOCK_BARRIER} " in f" {kernel.body} " or kernel.shared > 0
        self.local = kernel.threads if self.whole or not kernel.meets else WARP
        # Memory space of each pointer.
        self.spaces: dict[str, str] = {}
        self.tables: dict[str, str] = {}
        # Pointers into one of two memories: (condition, pointer, pointer).
        self.chosen: dict[str, tuple[str, str, str]] = {}
        # Header of a loop -> (name, type, first value, next value).
        self.carried: dict[str, list[tuple[str, str, str, str]]] = {}
        self.entered: set[str] = set()
        # Parameters that are double in the abstract machine, and float here.
        self.single: set[str] = set()

    def refuse(self, what: str) -> NoKernel:
        return NoKernel(f"{self.dialect.name} has no words for: {what.strip()}")

    def emit(self, text: str) -> None:
        self.lines.append("  " * self.depth + text)

    def type(self, name: str) -> str:
        if name == "double" and not self.dialect.has_double:
            raise self.refuse("double")
        if name not in _UNSIGNED:
            raise self.refuse(name)
        return _UNSIGNED[name]

    def cast(self, type_: str, value: str) -> str:
        return self.dialect.cast.format(type=type_, value=value)

    def value(self, text: str, type_: str) -> str:
        text = text.strip()
        if text.startswith("%"):
            if _name(text) in self.single:
                raise self.refuse(f"a parameter in double, {text}")
            return _name(text)
        if text in ("true", "false"):
            return text
        if text == "poison":
            return f"({self.type(type_)})0"
        if type_ in ("float", "double"):
            bits = int(text, 16)
            if type_ == "double":
                return self.cast(self.type("double"), f"0x{bits:016X}UL")
            number = struct.unpack("<d", struct.pack("<Q", bits))[0]
            single = struct.unpack("<I", struct.pack("<f", number))[0]
            return self.cast("float", f"0x{single:08X}u")
        if type_ == "i64":
            number = int(text) & ((1 << 64) - 1)
            return f"0x{number:X}UL" if self.dialect.is_opencl else f"ulong(0x{number:X}UL)"
        return f"({self.type(type_)}){int(text) & ((1 << _BITS[type_]) - 1)}u"

    # ---- the function ----------------------------------------------------------------------------

    def written(self) -> DeviceText:
        kernel, dialect = self.kernel, self.dialect
        opencl = dialect.is_opencl
        for declaration in kernel.declarations:
            if not declaration.startswith("declare"):
                self.table(declaration)
        parameters = []
        pointers = kernel.buffers + kernel.scratch
        for place, (type_, argument) in enumerate(kernel.arguments()):
            name = _name(argument)
            attribute = "" if opencl else f" [[buffer({place})]]"
            if type_ == "ptr":
                self.spaces[name] = dialect.whole
                parameters.append(f"{dialect.whole} uchar *{name}{attribute}")
                continue
            if type_ == "double" and not dialect.has_double:
                self.single.add(name)
                type_ = "float"
            if opencl:
                parameters.append(f"{self.type(type_)} {name}")
            else:
                self.word(place - pointers, type_, name)
        if not opencl:
            # All words in one, for there are few buffers.
            parameters.append(f"constant ulong *{_WORDS} [[buffer({pointers})]]")
            for word in ("thread_position_in_threadgroup", "threadgroup_position_in_grid",
                         "threadgroups_per_grid"):  # fmt: skip
                parameters.append(f"uint {word} [[{word}]]")
        self.prologue()
        self.body()
        head = "__kernel void" if opencl else "kernel void"
        if opencl:
            head += f" __attribute__((reqd_work_group_size({self.local}, 1, 1)))"
        text = "\n".join([
            dialect.head, *self.tables.values(),
            f"{head} {kernel.name}({', '.join(parameters)}) {{", *self.lines, "}", "",
        ])  # fmt: skip
        split = kernel.threads // self.local
        return DeviceText(kernel.name, text, self.local, split, not dialect.has_double)

    def word(self, place: int, type_: str, name: str) -> None:
        """A number among the words, floats by their bits."""
        if type_ == "i64":
            self.emit(f"const ulong {name} = {_WORDS}[{place}];")
        else:
            bits = self.cast("float", f"(uint){_WORDS}[{place}]")
            self.emit(f"const float {name} = {bits};")

    def table(self, declaration: str) -> None:
        """A table of constants, as its global variable says it."""
        found = re.match(r"@(\S+) = .*constant \[(\d+) x (\w+)\] \[(.*)\]", declaration)
        if found is None:
            raise self.refuse(declaration)
        name, count, type_, items = found.groups()
        values = [self.value(item.split()[1], type_) for item in items.split(", ")]
        space = "__constant" if self.dialect.is_opencl else "constant"
        clean = _name("%" + name)
        self.spaces[clean] = space
        self.tables[clean] = (
            f"{space} {self.type(type_)} {clean}[{count}] = {{{', '.join(values)}}};"
        )

    def prologue(self) -> None:
        kernel, dialect = self.kernel, self.dialect
        if dialect.is_opencl:
            local, group, groups = "get_local_id(0)", "get_group_id(0)", "get_num_groups(0)"
        else:
            local, group = "thread_position_in_threadgroup", "threadgroup_position_in_grid"
            groups = "threadgroups_per_grid"
        split = kernel.threads // self.local
        self.emit(f"const uint local_thread = (uint){local};")
        if split > 1:
            self.emit(
                f"uint {_name(THREAD)} = local_thread + {self.local}u * ((uint){group} % {split}u);"
            )
            self.emit(f"uint {_name(PLACE)} = (uint){group} / {split}u;")
            self.emit(f"uint {_name(BLOCKS)} = (uint){groups} / {split}u;")
        else:
            self.emit(f"uint {_name(THREAD)} = local_thread;")
            self.emit(f"uint {_name(PLACE)} = (uint){group};")
            self.emit(f"uint {_name(BLOCKS)} = (uint){groups};")
        if kernel.shared:
            # In words of 64 bits, for their alignment.
            self.emit(f"{dialect.shared} ulong shared_words[{-(-kernel.shared // 8)}];")
            self.emit(
                f"{dialect.shared} uchar *{_name(SHARED)} = ({dialect.shared} uchar *)shared_words;"
            )
            self.spaces[_name(SHARED)] = dialect.shared
        if f"{DOWN} " in kernel.body or f"{FIRST} " in kernel.body:
            self.emit(f"{dialect.shared} uint exchange[{self.local}];")

    # ---- lines -----------------------------------------------------------------------------------

    def body(self) -> None:
        lines = self.kernel.body.split("\n")
        header = ""
        phi = re.compile(r"\s*%(\S+) = phi (\S+) \[ (.*?), %\S+ \], \[ (.*?), %\S+ \]")
        for line in lines:
            if line.endswith(":"):
                header = line[:-1]
                continue
            found = phi.match(line)
            if found is not None:
                name, type_, first, following = found.groups()
                row = (_name("%" + name), type_, first, following)
                self.carried.setdefault(header, []).append(row)
        for line in lines:
            self.line(line)

    def line(self, line: str) -> None:
        if line.endswith(":"):
            self.label(line[:-1])
            return
        line = line.strip()
        if not line or " = phi " in line:
            return
        head, then, _ = line.partition(" then ")
        if then:
            self.collective(head)
            return
        for pattern, write in _RULES:
            found = pattern.fullmatch(line)
            if found is not None:
                write(self, *found.groups())
                return
        raise self.refuse(line)

    def label(self, name: str) -> None:
        rows = self.carried.get(name)
        if rows is None:
            return
        for variable, type_, first, _ in rows:
            self.emit(f"{self.type(type_)} {variable} = {self.value(first, type_)};")
        self.emit("for (;;) {")
        self.depth += 1

    def jump(self, target: str) -> None:
        rows = self.carried.get(target)
        if rows is None:
            return
        if target not in self.entered:
            self.entered.add(target)  # the way in
            return
        for variable, type_, _, following in rows:
            self.emit(f"{self.type(type_)} {variable}_next = {self.value(following, type_)};")
        for variable, _, _, _ in rows:
            self.emit(f"{variable} = {variable}_next;")
        self.depth -= 1
        self.emit("}")

    def leave_unless(self, condition: str) -> None:
        self.emit(f"if (!{self.value(condition, 'i1')}) break;")

    def collective(self, line: str) -> None:
        result, _, operation = line.strip().rpartition(" = ")
        name, _, rest = operation.partition(" ")
        barrier = self.dialect.barrier
        if name in (MULTIPLY, GROUP_MULTIPLY):
            raise self.refuse("tensor cores")
        if name not in (DOWN, FIRST):
            self.emit(barrier)
            return
        value, _, distance = rest.partition(", ")
        self.emit(f"exchange[local_thread] = {self.value(value, 'i32')};")
        self.emit(barrier)
        base = "local_thread & ~31u"
        if name == DOWN:
            source = (
                f"(local_thread & 31u) + {distance}u < 32u ? local_thread + {distance}u "
                ": local_thread"
            )
        else:
            source = base
        self.emit(f"uint {_name(result)} = exchange[{source}];")
        self.emit(barrier)

    def pointer(self, name: str, type_: str, base: str, index_type: str, index: str) -> None:
        clean = _name(base if base.startswith("%") else "%" + base[1:])
        space = self.spaces.get(clean)
        if space is None:
            raise self.refuse(f"pointer {base}")
        element = "uchar" if type_ == "i1" else self.type(type_)
        self.spaces[_name("%" + name)] = space
        offset = f"({'long' if index_type == 'i64' else 'int'})({self.value(index, index_type)})"
        self.emit(
            f"{space} {element} *{_name('%' + name)} = ({space} {element} *){clean} + {offset};"
        )

    def stack(self, name: str, count: str, type_: str) -> None:
        """Memory of the thread alone."""
        variable = _name("%" + name)
        self.spaces[variable] = self.dialect.own
        self.emit(f"{self.type(type_)} {variable}[{count}];")

    def element(self, type_: str, pointer: str) -> str:
        """What a pointer points to."""
        return f"*({self.spaces[_name(pointer)]} {self.type(type_)} *){_name(pointer)}"

    def load(self, name: str, type_: str, pointer: str) -> None:
        chosen = self.chosen.get(_name(pointer))
        if chosen is None:
            text = self.element(type_, pointer)
        else:
            test, *either = chosen
            text = f"{test} ? {self.element(type_, either[0])} : {self.element(type_, either[1])}"
        self.define(name, type_, text)

    def store(self, type_: str, value: str, pointer: str) -> None:
        if _name(pointer) in self.chosen:
            raise self.refuse(f"a store into either of two memories, {pointer}")
        self.emit(f"{self.element(type_, pointer)} = {self.value(value, type_)};")

    def define(self, name: str, type_: str, text: str) -> None:
        self.emit(f"{self.type(type_)} {_name('%' + name)} = {text};")

    def compare_integers(self, name: str, how: str, type_: str, x: str, y: str) -> None:
        a, b = self.value(x, type_), self.value(y, type_)
        if how[0] == "s" and type_ != "i1":
            a, b = f"({_SIGNED[type_]}){a}", f"({_SIGNED[type_]}){b}"
        word = how if how in _INTEGER else how[1:]
        self.define(name, "i1", f"{a} {_INTEGER[word]} {b}")

    def compare_floats(self, name: str, how: str, type_: str, x: str, y: str) -> None:
        a, b = self.value(x, type_), self.value(y, type_)
        unordered = f"({a} != {a} || {b} != {b})"
        if how in _ORDERED:
            text = f"{a} {_ORDERED[how]} {b}"
        elif how in _UNORDERED:
            text = f"!({a} {_UNORDERED[how]} {b})"
        else:
            rules = {
                "uno": unordered, "ord": f"!{unordered}", "ueq": f"!({a} < {b} || {a} > {b})",
                "one": f"({a} < {b} || {a} > {b})",
            }  # fmt: skip
            text = rules[how]
        self.define(name, "i1", text)

    def select(self, name: str, condition: str, type_: str, x: str, y: str) -> None:
        if type_ == "ptr":
            test, variable = self.value(condition, "i1"), _name("%" + name)
            space = self.spaces[_name(x)]
            if space != self.spaces[_name(y)]:
                # No pointer may be into either memory: whoever reads or writes there chooses.
                self.chosen[variable] = (test, x, y)
                return
            self.spaces[variable] = space
            either = [f"({space} uchar *){_name(pointer)}" for pointer in (x, y)]
            self.emit(f"{space} uchar *{variable} = {test} ? {either[0]} : {either[1]};")
            return
        a, b = self.value(x, type_), self.value(y, type_)
        self.define(name, type_, f"{self.value(condition, 'i1')} ? {a} : {b}")

    def convert(self, name: str, opcode: str, source: str, x: str, target: str) -> None:
        if opcode == "fptrunc" and _name(x) in self.single and target == "float":
            self.define(name, target, _name(x))
            return
        a = self.value(x, source)
        if "half" in (source, target):
            self.half(name, opcode, source, a, target)
            return
        to = self.type(target)
        if opcode == "bitcast":
            text = self.cast(to, a)
        elif opcode == "trunc" and target == "i1":
            text = f"({a} & 1) != 0"
        elif opcode in ("sext", "sitofp"):
            # A truth value extended by its sign is all ones.
            text = (
                f"{a} ? ({to})-1 : ({to})0" if source == "i1" else f"({to})({_SIGNED[source]}){a}"
            )
        elif opcode in ("fptosi",):
            text = f"({to})({_SIGNED[target]}){a}"
        elif opcode in ("zext", "trunc", "fpext", "fptrunc", "uitofp", "fptoui"):
            text = f"({to}){a}"
        else:
            raise self.refuse(opcode)
        self.define(name, target, text)

    def half(self, name: str, opcode: str, source: str, a: str, target: str) -> None:
        """Halves are held as floats between their bits and arithmetic."""
        variable = _name("%" + name)
        if opcode == "bitcast" and target == "half":
            self.emit(f"float {variable} = half_read({a});")
        elif opcode == "bitcast":
            self.emit(f"ushort {variable} = half_written({a});")
        elif opcode == "fpext":
            self.define(name, target, f"({self.type(target)}){a}")
        elif opcode == "fptrunc" and source == "float":
            self.emit(f"float {variable} = half_read(half_written({a}));")
        else:
            raise self.refuse(f"{opcode} {source} to {target}")

    def negate(self, name: str, type_: str, x: str) -> None:
        self.define(name, type_, f"-{self.value(x, type_)}")

    def binary(self, name: str, opcode: str, type_: str, x: str, y: str) -> None:
        a, b = self.value(x, type_), self.value(y, type_)
        to = self.type(type_)
        if type_ == "i1":
            self.define(name, type_, f"({a} {_BINARY[opcode]} {b}) != 0")
        elif opcode in _SIGNED_BINARY:
            signed = _SIGNED[type_]
            self.define(
                name, type_, f"({to})(({signed}){a} {_SIGNED_BINARY[opcode]} ({signed}){b})"
            )
        elif opcode == "frem":
            self.define(name, type_, f"fmod({a}, {b})")
        elif opcode in _BINARY:
            self.define(name, type_, f"({to})({a} {_BINARY[opcode]} {b})")
        else:
            raise self.refuse(opcode)

    def call(self, name: str, type_: str, function: str, arguments: str) -> None:
        stem, _, _ = function.partition(".")
        given = [a.split() for a in arguments.split(", ")]
        values = [self.value(text, kind) for kind, text in given]
        to = self.type(type_)
        if stem in _FUNCTIONS:
            text = f"{_FUNCTIONS[stem]}({', '.join(values)})"
        elif stem in ("smin", "smax"):
            signed = _SIGNED[type_]
            text = f"({to}){stem[1:]}(({signed}){values[0]}, ({signed}){values[1]})"
        elif stem == "abs":
            text = f"({to})abs(({_SIGNED[type_]}){values[0]})"
        elif stem in ("ctlz", "cttz"):
            text = f"{'clz' if stem == 'ctlz' else 'ctz'}({values[0]})"
        elif stem == "fshl":
            bits = _BITS[type_]
            text = (
                f"({values[2]} % {bits}) ? (({values[0]} << ({values[2]} % {bits})) | "
                f"({values[1]} >> ({bits} - {values[2]} % {bits}))) : {values[0]}"
            )
        else:
            raise self.refuse(function)
        self.define(name, type_, text)


def _name(text: str) -> str:
    """A name of C from one of LLVM."""
    return "v_" + text.removeprefix("%").replace(".", "_")


_WORDS = "launch_words"
_V = r"([^,\s]+)"
_RULES = tuple(
    (re.compile(pattern), write)
    for pattern, write in (
        (r"br label %(\S+)", _Writer.jump),
        (r"br i1 (\S+), label %\S+, label %\S+", _Writer.leave_unless),
        (rf"%(\S+) = getelementptr (\w+), ptr {_V}, (i\d+) {_V}", _Writer.pointer),
        (r"%(\S+) = alloca \[(\d+) x (\w+)\], align \d+", _Writer.stack),
        (rf"%(\S+) = load (\w+), ptr {_V}, align \d+(?:{STEADY})?", _Writer.load),
        (rf"store (\w+) {_V}, ptr {_V}, align \d+", _Writer.store),
        (rf"%(\S+) = icmp (\w+) (\w+) {_V}, {_V}", _Writer.compare_integers),
        (rf"%(\S+) = fcmp (\w+) (\w+) {_V}, {_V}", _Writer.compare_floats),
        (rf"%(\S+) = select i1 {_V}, (\w+) {_V}, \w+ {_V}", _Writer.select),
        (rf"%(\S+) = fneg (\w+) {_V}", _Writer.negate),
        (rf"%(\S+) = (\w+) (\w+) {_V} to (\w+)", _Writer.convert),
        (rf"%(\S+) = (\w+)(?: n[su]w)* (\w+) {_V}, {_V}", _Writer.binary),
        (r"%(\S+) = call (\w+) @llvm\.([\w.]+)\((.*)\)", _Writer.call),
    )
)
