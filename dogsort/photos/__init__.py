"""Files -> tensors."""
