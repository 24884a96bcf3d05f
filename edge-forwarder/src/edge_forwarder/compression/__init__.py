"""Lossless compression of what waits, by rules for each modality."""
