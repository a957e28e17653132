"""What was recorded: nodes, the primitives they apply, and the memo of earlier recordings.

Level 1.
"""
