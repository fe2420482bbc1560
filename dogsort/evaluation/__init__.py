"""Labelled photos -> figures, each with its interval: how good predictions are."""
