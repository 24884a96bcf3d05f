"""Data sets of requests and answers, bytes to pydicom and back: little endian, not compressed (PS3.5 A.1, A.2)."""

from __future__ import annotations

from io import BytesIO

from pydicom import config
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset

from edge_forwarder.dicom.syntaxes import IMPLICIT_LITTLE_ENDIAN
from edge_forwarder.errors import UnreadableError

# Other people's values may be wrong; pydicom would print them, and they are patients' data.
config.settings.reading_validation_mode = config.IGNORE


def decode(data: bytes, transfer_syntax: str) -> Dataset:
    """Raises UnreadableError. Who does not say which character set it writes is taken at its bytes: UTF-8, of which
    ASCII is a part.
    """
    try:
        dataset = read_dataset(BytesIO(data), transfer_syntax == IMPLICIT_LITTLE_ENDIAN, True)
        if not dataset.get("SpecificCharacterSet"):
            dataset.set_original_encoding(transfer_syntax == IMPLICIT_LITTLE_ENDIAN, True, ["utf8"])
        for element in dataset.iterall():  # values are read when they are touched: touch them here
            _ = element.value
    except Exception as error:  # pydicom raises nearly anything on bytes that are not DICOM
        raise UnreadableError(f"a data set that cannot be read ({type(error).__name__})") from None
    return dataset


def encode(dataset: Dataset, transfer_syntax: str) -> bytes:
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = transfer_syntax == IMPLICIT_LITTLE_ENDIAN, True
    write_dataset(buffer, dataset)
    return buffer.getvalue()


def text(dataset: Dataset, keyword: str) -> str:
    """A single value as text, trimmed; empty if absent."""
    value = dataset.get(keyword)
    return "" if value is None else str(value).strip(" \0")
