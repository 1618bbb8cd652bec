raise RuntimeError("made for another Python")
