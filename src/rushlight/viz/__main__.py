"""`python -m rushlight.viz script.py`: the same as `rushlight trace script.py`.  Level 15."""

import sys

from rushlight.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["trace", *sys.argv[1:]]))
