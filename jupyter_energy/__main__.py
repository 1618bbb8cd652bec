"""`python -m jupyter_energy`: the same commands, where the script is not on PATH."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
