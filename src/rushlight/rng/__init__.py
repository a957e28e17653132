"""Random numbers: PyTorch's CPU stream, bit for bit, in pure NumPy (level 1).

In: a `MersenneTwister`, a count of values, a dtype name and the distribution's numbers. Out: flat
NumPy arrays in the order in which PyTorch writes them; `layout.arrange` puts such a run into the
memory order of a strided destination. bfloat16 values are uint16 bit patterns everywhere.
Invariants: a draw consumes exactly the words that PyTorch 2.13 (x86-64) consumes, so that calls of
different kinds can be interleaved; nothing here knows tensors.
"""
