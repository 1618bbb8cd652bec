"""Carrying a plan out: a run that waits for cleaner power, a loop that pauses while it is dirty.

Whatever fails on our side, the user's code runs on at once; only wrong use is told by an exception,
before anything has begun.
"""
