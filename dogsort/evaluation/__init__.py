"""Labelled photos -> figures: how good predictions are, and how sure that is.

In come folders of labelled photos (``labelled``) and what the classifier predicted of them; out
goes a report, as text, as JSON (``report``) or as one HTML file (``html``). ``metrics`` holds the
statistics, pure functions of arrays; ``robustness`` makes changed copies to evaluate as well.

What it promises: every figure comes with its 95% interval or says that it has none; a photo that
could not be read counts for nothing; the same photos and predictions give the same figures.
"""
