"""What people see: a cell's or a summary's JSON (schema 1) in, text, HTML, a figure out.

`words`, `devices` and `grams` choose the words and the looks once; `text` and `html` only lay them
out, so that the two never disagree. Numbers become text in `units` alone.
"""
