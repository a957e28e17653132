"""The nest of a place among bools broke the loop nest's rules, which nothing checked."""

import rushlight as rl
from tests.lowering.executors import compare


def test_where_the_first_true_is():
    x = rl.tensor([[False, True, True], [False, False, False]])
    compare(lambda: [x.max(1)[1], x.min(1)[1], x.max(0)[0]])
