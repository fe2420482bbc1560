"""Labelled photos -> a weights folder.

Folders of labelled photos, starting weights and a recipe go in; a folder for ``--weights`` comes
out. ``train`` has the whole training loop, from top to bottom. ``finish`` calibrates, writes the
folder and compares it with the bundled weights. An interrupted run can continue.
"""
