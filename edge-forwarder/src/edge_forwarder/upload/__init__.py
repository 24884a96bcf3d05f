"""The uplink: which pack goes next and how fast, what became of it, and when its files may go."""
