"""A page in the browser to look at predictions, correct and file them; see README.md."""
