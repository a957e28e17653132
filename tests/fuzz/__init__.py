"""Random programs: PyTorch's values by every executor, and the same bits however they are run.

    python -m tests.fuzz 1000                 a thousand programs by all judges
    python -m tests.fuzz 1000 --seed 7        from another first seed
    python -m tests.fuzz 9999 --bits-every 20 --lengths 2,8 --keep-going
                                              short programs, most by the four executors alone
    python -m tests.fuzz 9999 --judges fault_of_sizes
                                              each program repeated with other sizes
    python -m tests.fuzz --replay 'LIST'      a program, as printed

A failing program is shrunk and printed; with `--write` it becomes a test under tests/regressions.
"""
