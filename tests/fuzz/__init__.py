"""Random programs: the same values however they are cut, repeated or interleaved, and PyTorch's.

    python -m tests.fuzz 1000            a thousand programs
    python -m tests.fuzz 1000 --seed 7   from another first seed

A failing program is shrunk and printed; `python -m tests.fuzz --replay 'LIST'` runs it again.
"""
