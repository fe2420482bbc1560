"""Files -> pixels."""
