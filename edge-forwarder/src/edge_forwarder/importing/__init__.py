"""`send`: files of this machine into the archive: what there is, what of it is DICOM, what was sent before."""
