"""DICOM files and data sets as bytes. Pure: what is read here comes in by argument, but for a file's own path."""
