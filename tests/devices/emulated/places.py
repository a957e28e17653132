"""The devices that the tests of this folder run on: two emulated ones, or this machine's cards."""

from __future__ import annotations

import os

import rushlight

ON_CARD = bool(os.environ.get("RUSHLIGHT_ON_CARD"))
# The second device; the only one of a machine with one card.
LAST = f"cuda:{rushlight.cuda.device_count() - 1}" if ON_CARD else "cuda:1"
