"""The sensors: one file a family, found by themselves.

A third party adds a family by an entry point in the group `jupyter_energy.sensors` that names a
module of the same shape.
"""
