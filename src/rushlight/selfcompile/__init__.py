"""The compiler's own hot paths, compiled: Python functions of this package to machine code.

`translate` reads the source of a marked function (`base/hot.py`) and writes LLVM text that calls
the interpreter's C interface, with the attributes of known classes read where they lie.  `install`
puts the results in the functions' places.  Everything means what it means in Python; what the
translation does not know is refused, and the function stays as it is.  Level 9.
"""
