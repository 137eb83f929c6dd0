"""Proof of reliability, a module each: `run(count=..., seed=..., folder=...)` returns rows, named "MODULE: ...", or
raises what it found; COUNT is its full size, PIECE what is done between two looks at the clock.

`python -m tests.chaos` (`make chaos`) runs them at full size; the tests run the same code at small size.
"""
