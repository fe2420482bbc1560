"""Predictions -> filed photos."""
