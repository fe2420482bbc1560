"""Pixels -> probabilities."""
