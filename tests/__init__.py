"""The tests; `python3 tests/all.py` runs every kind."""
