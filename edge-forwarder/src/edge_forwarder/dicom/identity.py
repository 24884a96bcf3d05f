"""Who we say we are, on the wire and in files (PS3.7 D.3.3.2, PS3.10 7.1)."""

from __future__ import annotations

from typing import Final

#: (0002,0012) Implementation Class UID. Fixed for ever: file meta must be deterministic, so this never follows the
#: version.
IMPLEMENTATION_CLASS_UID: Final = "2.25.169405464151397962722659889962175012467"
#: (0002,0013) Implementation Version Name, at most 16 characters. Fixed, for the same reason.
IMPLEMENTATION_VERSION_NAME: Final = "MAYPACS_EDGE_1"
