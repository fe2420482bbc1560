"""Photos -> pictures for people, of any size, made ahead and cached.

A path goes in, and a JPEG comes out, upright and with its colours, or an ``UnreadablePhoto`` with
the reason. The page of ``dogsort review`` and the report of ``dogsort eval`` show them.
"""
