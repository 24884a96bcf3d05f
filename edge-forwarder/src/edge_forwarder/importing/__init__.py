"""`send`: files of this machine into the archive: what there is, and what was sent before."""
