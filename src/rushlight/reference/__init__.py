"""The meaning of each primitive: one NumPy rule each, and the executor that applies them.

Level 3.
"""
