"""Proof of reliability, a module each: `run(count=..., seed=..., folder=...)` returns rows, or raises what it found.

`python -m tests.chaos` (`make chaos`) runs them at full size; the tests run the same code at small size.
"""
