"""The nine languages, as BCP 47 codes (policy: support facts)."""

from __future__ import annotations

import difflib
from typing import Any, Literal, get_args

Language = Literal["en", "ja", "es", "fr", "de", "it", "pt", "zh-Hant", "zh-Hans"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
DEFAULT: Language = "en"
#: What people write for a language where its code is another.
_MISTAKEN = {
    "jp": "ja",
    "cn": "zh-Hans",
    "zh": "zh-Hans or zh-Hant",
    "zh-cn": "zh-Hans",
    "zh-sg": "zh-Hans",
    "zh-tw": "zh-Hant",
    "zh-hk": "zh-Hant",
    "tw": "zh-Hant",
    "br": "pt",
    "gb": "en",
    "uk": "en",
    "us": "en",
    "sp": "es",
    "mx": "es",
    "ge": "de",
    "at": "de",
}


def meant(code: Any) -> str:
    """What to do about a code that is none of ours: the language that was meant, or all there are."""
    written = str(code)[:40].lower().replace("_", "-")
    exact = {language.lower(): language for language in LANGUAGES}
    close = difflib.get_close_matches(written, exact, n=1)
    right = exact.get(written) or _MISTAKEN.get(written) or exact.get(written.partition("-")[0])
    right = right or (exact[close[0]] if close else "")
    return f"did you mean {right}" if right else f"use {', '.join(LANGUAGES)}"
