"""Pure decisions: what to do next, from what is wanted and what was observed.

No I/O, no clock, no randomness.
"""
