"""DICOM files and data sets as bytes: read and written by hand where it has to be quick or exact, else by pydicom."""
