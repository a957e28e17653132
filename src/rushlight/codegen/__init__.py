"""Loop nest to LLVM IR text, transcendental functions and register-tiled contraction cores.

Emits text only: nothing here loads LLVM.  Level 7.
"""
