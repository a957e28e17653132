"""PyTorch's mutable tensor over the pure tape: aliasing, versions, autograd.  Level 10."""
