"""Text of an event, and the language that it is in.

What upstream says is English unless it is given per language (``{en: …, ja: …}``). A mail in another language
shows the English text where nothing better was given, and marks it as English.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from dispatcher.domain.language import DEFAULT


class Said(str):
    """Text of an event.

    Attributes:
        language: The BCP 47 code of the language that it is in.
    """

    __slots__ = ("language",)
    language: str

    def __new__(cls, text: str, language: str = DEFAULT) -> Self:
        """`text`, which is in `language`."""
        said = super().__new__(cls, text)
        said.language = language
        return said


@dataclass(frozen=True, slots=True)
class PerLanguage:
    """A value that was given per language.

    Attributes:
        values: At least one value, by BCP 47 code.
    """

    values: Mapping[str, Any]

    def best(self, language: str) -> tuple[str, Any]:
        """The code and the value for a reader of `language`: theirs, else English, else the first."""
        found = next((code for code in (language, DEFAULT) if code in self.values), next(iter(self.values)))
        return found, self.values[found]

    def __str__(self) -> str:
        """The value whoever the reader is; so that what names something names the same for all."""
        return str(self.best(DEFAULT)[1])


def said_to(language: str, value: Any, given_in: str = DEFAULT) -> Any:
    """A parsed value as a reader of `language` gets it: every text in it is `Said`.

    Args:
        language: The reader's.
        value: As `dispatcher.domain.values.parse_value` gives it.
        given_in: The language of texts that say none themselves.
    """
    if isinstance(value, PerLanguage):
        code, best = value.best(language)
        return said_to(language, best, code)
    if isinstance(value, str):
        return Said(value, given_in)
    if isinstance(value, tuple):
        return tuple(said_to(language, one, given_in) for one in value)
    if isinstance(value, dict):
        return {key: said_to(language, one, given_in) for key, one in value.items()}
    return value
