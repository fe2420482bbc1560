"""Labelled photos -> figures for how good predictions are, each with its interval."""
