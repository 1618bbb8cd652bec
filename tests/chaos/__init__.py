"""What the store goes through and loses nothing: kernels that are killed, many writers at once,
file systems without locks, sessions of 100 000 cells. `python tests/chaos/run.py` is all of it."""
