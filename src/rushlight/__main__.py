"""`python -m rushlight` is the `rushlight` command.  Level 15."""

import sys

from rushlight.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
