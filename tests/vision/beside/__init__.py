"""torchvision's networks beside rushlight's: the same seed, weights and images in two interpreters.

`python -m tests.vision.beside --peer PYTHON` runs both, `PYTHON` being an interpreter that has
torch and torchvision, and prints a line for each network.
"""
