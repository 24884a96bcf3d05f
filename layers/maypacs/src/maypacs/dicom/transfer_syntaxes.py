"""Transfer syntaxes of PS3.5 clause 10 and annex A, the retired ones that still arrive included.

``frame_media_type`` is the type of one frame on its own (PS3.18 Table 8.7.3-2; video: Table 8.7.3-4).
"""

from __future__ import annotations

from dataclasses import dataclass

IMPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2"
EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1.99"
EXPLICIT_VR_BIG_ENDIAN = "1.2.840.10008.1.2.2"
DEFLATED_IMAGE_FRAME = "1.2.840.10008.1.2.8.1"
RLE_LOSSLESS = "1.2.840.10008.1.2.5"

OCTET_STREAM = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class TransferSyntax:
    uid: str
    name: str
    encapsulated: bool
    lossy: bool  #: may hold irreversibly compressed pixels (JPEG 2000 .91 and friends may be either)
    big_endian: bool
    deflated: bool  #: the whole data set is deflated (PS3.5 A.5), not its frames
    explicit: bool
    frame_media_type: str
    known: bool = True

    @property
    def video(self) -> bool:
        """One stream for all frames: no single frame can be cut out of it."""
        return self.frame_media_type.startswith("video/")


def _native(uid: str, name: str, *, explicit: bool = True, big: bool = False, deflated: bool = False) -> TransferSyntax:
    return TransferSyntax(uid, name, False, False, big, deflated, explicit, OCTET_STREAM)


def _encapsulated(uid: str, name: str, media_type: str, *, lossy: bool) -> TransferSyntax:
    return TransferSyntax(uid, name, True, lossy, False, False, True, media_type)


_ROOT = "1.2.840.10008.1.2"
_JPEG = ("image/jpeg", True)
_JPEG_LOSSLESS = ("image/jpeg", False)
_ENCAPSULATED: tuple[tuple[str, str, str, bool], ...] = (
    (".4.50", "JPEG Baseline (Process 1)", *_JPEG),
    (".4.51", "JPEG Extended (Process 2 and 4)", *_JPEG),
    (".4.52", "JPEG Extended (Process 3 and 5)", *_JPEG),
    (".4.53", "JPEG Spectral Selection, Non-Hierarchical (Process 6 and 8)", *_JPEG),
    (".4.54", "JPEG Spectral Selection, Non-Hierarchical (Process 7 and 9)", *_JPEG),
    (".4.55", "JPEG Full Progression, Non-Hierarchical (Process 10 and 12)", *_JPEG),
    (".4.56", "JPEG Full Progression, Non-Hierarchical (Process 11 and 13)", *_JPEG),
    (".4.57", "JPEG Lossless, Non-Hierarchical (Process 14)", *_JPEG_LOSSLESS),
    (".4.58", "JPEG Lossless, Non-Hierarchical (Process 15)", *_JPEG_LOSSLESS),
    (".4.70", "JPEG Lossless, Non-Hierarchical, First-Order Prediction", *_JPEG_LOSSLESS),
    (".4.80", "JPEG-LS Lossless", "image/jls", False),
    (".4.81", "JPEG-LS Lossy (Near-Lossless)", "image/jls", True),
    (".4.90", "JPEG 2000 (Lossless Only)", "image/jp2", False),
    (".4.91", "JPEG 2000", "image/jp2", True),
    (".4.92", "JPEG 2000 Part 2 Multi-component (Lossless Only)", "image/jpx", False),
    (".4.93", "JPEG 2000 Part 2 Multi-component", "image/jpx", True),
    (".4.94", "JPIP Referenced", OCTET_STREAM, True),
    (".4.100", "MPEG2 Main Profile / Main Level", "video/mpeg", True),
    (".4.100.1", "Fragmentable MPEG2 Main Profile / Main Level", "video/mpeg", True),
    (".4.101", "MPEG2 Main Profile / High Level", "video/mpeg", True),
    (".4.101.1", "Fragmentable MPEG2 Main Profile / High Level", "video/mpeg", True),
    (".4.102", "MPEG-4 AVC/H.264 High Profile / Level 4.1", "video/mp4", True),
    (".4.102.1", "Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.1", "video/mp4", True),
    (".4.103", "MPEG-4 AVC/H.264 BD-compatible High Profile / Level 4.1", "video/mp4", True),
    (".4.103.1", "Fragmentable MPEG-4 AVC/H.264 BD-compatible High Profile / Level 4.1", "video/mp4", True),
    (".4.104", "MPEG-4 AVC/H.264 High Profile / Level 4.2 For 2D Video", "video/mp4", True),
    (".4.104.1", "Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.2 For 2D Video", "video/mp4", True),
    (".4.105", "MPEG-4 AVC/H.264 High Profile / Level 4.2 For 3D Video", "video/mp4", True),
    (".4.105.1", "Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.2 For 3D Video", "video/mp4", True),
    (".4.106", "MPEG-4 AVC/H.264 Stereo High Profile / Level 4.2", "video/mp4", True),
    (".4.106.1", "Fragmentable MPEG-4 AVC/H.264 Stereo High Profile / Level 4.2", "video/mp4", True),
    (".4.107", "HEVC/H.265 Main Profile / Level 5.1", "video/mp4", True),
    (".4.108", "HEVC/H.265 Main 10 Profile / Level 5.1", "video/mp4", True),
    (".4.110", "JPEG XL Lossless", "image/jxl", False),
    (".4.111", "JPEG XL JPEG Recompression", "image/jxl", True),
    (".4.112", "JPEG XL", "image/jxl", True),
    (".4.201", "High-Throughput JPEG 2000 (Lossless Only)", "image/jphc", False),
    (".4.202", "High-Throughput JPEG 2000 with RPCL Options (Lossless Only)", "image/jphc", False),
    (".4.203", "High-Throughput JPEG 2000", "image/jphc", True),
    (".4.204", "JPIP HTJ2K Referenced", OCTET_STREAM, True),
    (".5", "RLE Lossless", "image/dicom-rle", False),
    (".8.1", "Deflated Image Frame Compression", "application/x-deflate", False),
)

_TABLE: dict[str, TransferSyntax] = {
    syntax.uid: syntax
    for syntax in (
        _native(IMPLICIT_VR_LITTLE_ENDIAN, "Implicit VR Little Endian", explicit=False),
        _native(EXPLICIT_VR_LITTLE_ENDIAN, "Explicit VR Little Endian"),
        _native(_ROOT + ".1.98", "Encapsulated Uncompressed Explicit VR Little Endian"),
        _native(DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, "Deflated Explicit VR Little Endian", deflated=True),
        TransferSyntax(_ROOT + ".4.95", "JPIP Referenced Deflate", True, True, False, True, True, OCTET_STREAM),
        TransferSyntax(_ROOT + ".4.205", "JPIP HTJ2K Referenced Deflate", True, True, False, True, True, OCTET_STREAM),
        _native(EXPLICIT_VR_BIG_ENDIAN, "Explicit VR Big Endian", big=True),
        *(_encapsulated(_ROOT + tail, name, media, lossy=lossy) for tail, name, media, lossy in _ENCAPSULATED),
    )
}
_TABLE[_ROOT + ".1.98"] = TransferSyntax(
    _ROOT + ".1.98",
    "Encapsulated Uncompressed Explicit VR Little Endian",
    True,
    False,
    False,
    False,
    True,
    OCTET_STREAM,
)


def info(uid: str) -> TransferSyntax:
    """What is known of a transfer syntax. An unknown one (``known`` False) is taken as explicit VR little endian
    with encapsulated pixels that may be lossy: so PS3.5 annex A has made every syntax since 1994."""
    found = _TABLE.get(uid)
    return found or TransferSyntax(uid, "unknown", True, True, False, False, True, OCTET_STREAM, known=False)


def known() -> tuple[TransferSyntax, ...]:
    """Every transfer syntax of the table."""
    return tuple(_TABLE.values())
