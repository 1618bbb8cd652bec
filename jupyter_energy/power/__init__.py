"""Power over time, for `%%energy --trace`: read by a process of its own, kept as a trace.

`sampler` runs in that process and imports the standard library, `line`, `sources` and `nvidia`
alone. `recorder` starts and ends it in the kernel; `document` is what is kept.
"""
