"""Hostile input: what must hold of whatever comes in (`targets`), and what runs it (`run`)."""
