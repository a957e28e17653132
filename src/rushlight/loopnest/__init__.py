"""The loop nest: IR of one kernel, with its printer, verifier and interpreter.

Free of LLVM and of tapes; imports ``base`` only.  Level 5.
"""
