"""Photos -> photos per second, on this machine."""
