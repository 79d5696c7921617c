"""The nine languages, as BCP 47 codes (policy: support facts)."""

from __future__ import annotations

from typing import Literal, get_args

Language = Literal["en", "ja", "es", "fr", "de", "it", "pt", "zh-Hant", "zh-Hans"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
DEFAULT: Language = "en"
