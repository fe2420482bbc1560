"""Labelled photos -> weights, and how good they are."""
