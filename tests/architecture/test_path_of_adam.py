"""A step of Adam is short enough to be read: what it runs of `optim/` is counted."""

from __future__ import annotations

import subprocess
import sys

MOST_LINES = 500

PROGRAM = """
import inspect, sys
import rushlight
from rushlight import optim
from rushlight.optim import adam, bucket

package = optim.__file__.removesuffix("__init__.py")
model = rushlight.nn.Linear(3, 2)
optimizer = optim.Adam(model.parameters())
functions = set()

def note(frame, event, argument):
    code = frame.f_code
    if code.co_filename.startswith(package) and not code.co_name.startswith("<"):
        functions.add(code)

for _ in range(5):
    model(rushlight.ones(4, 3)).sum().backward()
    sys.setprofile(note)
    optimizer.step()
    optimizer.zero_grad()
    sys.setprofile(None)
assert {adam.Adam.rule.__code__, bucket.Bucket.update.__code__} <= functions
print(sum(len(inspect.getsourcelines(code)[0]) for code in functions))
"""


def test_a_step_of_adam_is_short() -> None:
    environment = {"RUSHLIGHT_SELFCOMPILE": "0", "PYTHONPATH": ":".join(sys.path)}
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert int(run.stdout) < MOST_LINES
