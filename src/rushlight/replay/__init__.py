"""A whole call replayed: the one place where Python is not run.

In: a function that `torch.compile` marked.  Out: the function, which watches its first calls, and
runs the plan they ended in, without running the Python, once nothing that the Python could look at
differs.  Wherever that cannot be known the Python runs.  Level: replay (12).
"""
