"""Comparisons behind `ramp bench`: what is trained and evaluated, in resumable cells, and the tables made of them."""
