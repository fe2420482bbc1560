"""Labelled photos -> a weights folder.

In come folders of labelled photos, starting weights and a recipe; out goes a folder that
``--weights`` takes. ``train`` is the whole of it, from top to bottom; ``finish`` calibrates, writes
the folder and compares it with the bundled weights. A run that was stopped goes on.
"""
