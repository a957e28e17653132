"""Function transforms: recording an operation under forward differentiation or vmap.

Level: transform (the lowest of the library).
"""
