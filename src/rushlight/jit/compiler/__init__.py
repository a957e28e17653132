"""From the Python source of modules and functions to TorchScript's serialized text.

In: a module with its values, or a function.  Out: classes and functions as text, which PyTorch's
`torch.jit.load` and `jit/translation.py` read alike.  A function's syntax tree is walked once: each
expression becomes text with a type, calls are resolved by the Python objects that the names stand
for, and what TorchScript does not have is refused with file and line.  Level: jit (12).
"""
