"""Photos -> pictures for people, of any size, made in advance and cached.

A path goes in, and an upright JPEG with its colour profile comes out, or an ``UnreadablePhoto``
with the reason. The page of ``dogsort review`` and the report of ``dogsort eval`` show them.
"""
