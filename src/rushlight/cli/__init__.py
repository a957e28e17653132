"""The command line: `rushlight doctor`, `rushlight run`, `rushlight demo`.

Each command is one file; `main.py` parses the arguments and dispatches.  Level 14: only
`__main__` stands beside it, nothing imports it.
"""
