from __future__ import annotations

from dispatcher.domain.language import DEFAULT, LANGUAGES


def test_the_languages_are_the_policy_s() -> None:
    """The nine codes of the policy, English first and by default."""
    assert LANGUAGES == ("en", "ja", "es", "fr", "de", "it", "pt", "zh-Hant", "zh-Hans")
    assert DEFAULT == "en"
