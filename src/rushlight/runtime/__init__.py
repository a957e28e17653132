"""Machine code and memory: object code to callables, the object cache, the worker pool.

Sees LLVM text and bytes, no tapes and no loop nests.  Level 8.
"""
