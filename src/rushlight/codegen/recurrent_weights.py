"""Weights of recurrent layers in the order in which the contraction cores read them.  Level 7."""

from __future__ import annotations

from rushlight.base.target import Target
from rushlight.codegen.driver import Driver
from rushlight.codegen.emit import Value
from rushlight.codegen.llvm import KERNEL_ARGUMENTS
from rushlight.codegen.microkernel import TileSet, tile_set
from rushlight.codegen.packing import Packer
from rushlight.loopnest.ir import itemsize

BUFFERS = ("source", "target")
# k: steps of the product; lines: columns of one gate; gates; stride: of the source.
PARAMS = ("k", "lines", "gates", "stride")
_LLVM_TYPES = {"float32": "float", "float64": "double"}


def recurrence_tiles(dtype: str, target: Target) -> TileSet:
    """The cores; their columns are those of a panel of packed weights."""
    return tile_set(target, itemsize(dtype))


def pack_text(name: str, dtype: str, along_k: bool, target: Target) -> str:
    """The kernel that copies weights into panels, in parallel over panels.

    Panel i holds some columns of gate i mod `gates`.  along_k: whether a column of the product is a
    row of the source, as weights lie that states are multiplied by; else it is a column.
    """
    driver = Driver(target, _LLVM_TYPES[dtype])
    b, tiles = driver.b, recurrence_tiles(dtype, target)
    columns = driver.count(tiles.columns)
    source, packed = (driver.word("buffers", i, "ptr") for i in range(len(BUFFERS)))
    p = {word: driver.word("params", i, "i64") for i, word in enumerate(PARAMS)}
    loop = b.begin_loop(Value("%begin", "i64"), Value("%end", "i64"), 1)
    gate = b.binary("urem", loop.counter, p["gates"])
    line = b.mul(b.binary("udiv", loop.counter, p["gates"]), columns)
    width = driver.minimum(columns, b.sub(p["lines"], line))
    line = b.add(line, b.mul(gate, p["lines"]))
    target_panel = driver.at(packed, b.mul(loop.counter, b.mul(p["k"], columns)))
    packer = Packer(b, driver.type, tiles.lanes)
    first = driver.at(source, b.mul(line, p["stride"]) if along_k else line)
    emit = packer.transpose_panel if along_k else packer.copy_panel
    emit(first, p["stride"], width, p["k"], target_panel, columns, tiles.vectors)
    b.end_loop(loop)
    text = b.function(name, KERNEL_ARGUMENTS)
    header = f'target triple = "{target.triple}"\n'
    return header + "\n".join(sorted(b.declarations)) + "\n\n" + text
