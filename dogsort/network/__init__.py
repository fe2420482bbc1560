"""Tensors -> probabilities."""
