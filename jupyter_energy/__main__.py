"""`python -m jupyter_energy`: the commands where `jupyter-energy` is not on PATH."""

import sys

from .cli import main

sys.exit(main())
