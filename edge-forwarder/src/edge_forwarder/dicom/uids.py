"""UIDs as they are, not as they should be (PS3.5 9): real ones have leading zeros."""

from __future__ import annotations

import re
from typing import Final

_UID: Final = re.compile(r"(?=.*[0-9])[0-9.]{1,64}")


def is_uid(text: str) -> bool:
    """Whether it is one, and so a safe step of a path: digits and dots, with a digit in it, at most 64."""
    return _UID.fullmatch(text) is not None
