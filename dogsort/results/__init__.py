"""Predictions -> what people and programs read."""
