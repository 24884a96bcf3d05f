"""The one error tree of the library. Each error says what to do and carries data; none carries a patient's data.

MayPACSError
├── BadRequestError            the request is wrong and says where                      400
│   ├── UidError               not a DICOM UID (PS3.5 9.1, read tolerantly)
│   └── PageError              limit or offset out of bounds
├── UnauthenticatedError       no credential, or one that is not ours                   401
├── ForbiddenError             known, but not allowed                                   403
├── NotFoundError              no such study, series, instance, frame, archive …        404
│   └── FrameNotFoundError     frame number above NumberOfFrames
├── NotAcceptableError         we cannot make what Accept asks for                      406
├── GoneError                  deleted, in the trash                                    410
├── ConflictError              differs from what is there                               409
├── TooLargeError              above a size limit, or a search too broad to answer      413
├── UnsupportedMediaTypeError  a body we do not read                                    415
├── TooManyRequestsError       locked out or throttled; has retry_after                 429
├── NotSupportedError          part of DICOMweb, not built yet                          501
├── BusyError                  try again; has retry_after (seconds)                     503
├── DicomError                 bytes that are not the DICOM they should be
│   ├── NotDicomError          not a Part 10 file at all
│   ├── HeaderError            the data set cannot be walked
│   ├── MissingUidError        a UID that the key of an instance needs is absent or malformed
│   └── PixelError             pixel data that cannot be located or decoded
├── PackError                  bytes that are not the pack they should be (protocols: pack grammar)
├── TableError                 a table engine's fault
│   ├── ConditionFailedError   a conditional write lost: somebody else was first
│   └── ThrottledError         the engine asks for patience
├── StorageError               an object store's fault
│   ├── ObjectNotFoundError    no object of that key
│   └── PreconditionFailedError  If-None-Match or CopySourceIfMatch did not hold
└── SettingsError              a setting is missing or malformed; names it

`maypacs.http.problems` maps the tree to HTTP; nothing else does.
"""

from __future__ import annotations

from collections.abc import Mapping


class MayPACSError(Exception):
    """Base of every error this library raises on purpose."""


class BadRequestError(MayPACSError): ...


class UidError(BadRequestError): ...


class PageError(BadRequestError): ...


class UnauthenticatedError(MayPACSError): ...


class ForbiddenError(MayPACSError): ...


class NotFoundError(MayPACSError): ...


class FrameNotFoundError(NotFoundError): ...


class NotAcceptableError(MayPACSError): ...


class GoneError(MayPACSError): ...


class ConflictError(MayPACSError): ...


class TooLargeError(MayPACSError):
    def __init__(self, message: str, *, figures: Mapping[str, float] | None = None) -> None:
        """``figures``: what finding it out cost, for the log."""
        super().__init__(message)
        self.figures = figures or {}


class UnsupportedMediaTypeError(MayPACSError): ...


class TooManyRequestsError(MayPACSError):
    def __init__(self, message: str, *, retry_after: int = 60) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class NotSupportedError(MayPACSError): ...


class BusyError(MayPACSError):
    def __init__(self, message: str, *, retry_after: int = 5) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class DicomError(MayPACSError): ...


class NotDicomError(DicomError): ...


class HeaderError(DicomError): ...


class MissingUidError(DicomError): ...


class PixelError(DicomError): ...


class PackError(MayPACSError): ...


class TableError(MayPACSError): ...


class ConditionFailedError(TableError): ...


class ThrottledError(TableError): ...


class StorageError(MayPACSError): ...


class ObjectNotFoundError(StorageError): ...


class PreconditionFailedError(StorageError): ...


class SettingsError(MayPACSError): ...
