"""From robot units to network units and back.

Nothing is imported here: a server needs `ramp.data.track` and no torch, which takes most of the time of its start.
"""
