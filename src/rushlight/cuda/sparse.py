"""PyTorch's `torch.cuda.sparse`: names of the old sparse tensor types live elsewhere.  Level 12."""
