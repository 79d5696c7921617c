from __future__ import annotations

import base64
import string
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.domain.link import MAX_TOKEN, LinkExpired, LinkInvalid, LinkKey, key_of, sign, verify

NOW = datetime(2027, 3, 6, 21, tzinfo=UTC)
OLD, NEW = LinkKey("1", b"o" * 32), LinkKey("2", b"n" * 32)
KEYS = {"1": OLD, "2": NEW}
SAYS = {"a": "kim@contoso.example", "t": "general-awareness", "l": "de"}
TOKEN = sign(NEW, "choices", SAYS)
ALPHABET = string.ascii_letters + string.digits + "-_."


def test_what_was_signed_is_read_back() -> None:
    """A token says what it was made to say, under whichever key it was signed."""
    for key in (OLD, NEW):
        assert verify(sign(key, "choices", SAYS), "choices", KEYS, NOW) == SAYS


def test_a_token_fits_into_a_url_as_it_is() -> None:
    """It has no character that a URL or a header would have to escape."""
    assert set(TOKEN) <= set(ALPHABET)
    assert key_of(TOKEN) == "2"


def test_the_longest_address_fits() -> None:
    """An address of 254 characters and a type of 60 come to a link that a header's line can hold."""
    longest = {"a": "a" * 242 + "@example.com", "t": "t" * 60, "l": "zh-Hans"}

    assert len(sign(NEW, "choices", longest)) < MAX_TOKEN
    with pytest.raises(ValueError, match="cannot be signed"):
        sign(NEW, "choices", {"a": "a" * 2_000})


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(sign(LinkKey("2", b"x" * 32), "choices", SAYS), id="another secret"),
        pytest.param(sign(LinkKey("3", b"n" * 32), "choices", SAYS), id="an unknown key"),
        pytest.param(sign(LinkKey("1", b"n" * 32), "choices", SAYS), id="another key's name"),
        pytest.param(sign(NEW, "decide", SAYS), id="another purpose"),
        pytest.param(TOKEN[:-1], id="cut off"),
        pytest.param(TOKEN + "A", id="longer"),
        pytest.param(TOKEN + "=", id="padded"),
        pytest.param(TOKEN + "\n", id="with a line break"),
        pytest.param(TOKEN.rpartition(".")[0], id="without its end"),
        pytest.param(TOKEN.rpartition(".")[0] + ".", id="with nothing for its end"),
        pytest.param("", id="nothing"),
        pytest.param("..", id="dots"),
        pytest.param("2.ä.ö", id="not ASCII"),
        pytest.param("2." + "A" * 100_000 + "." + "A" * 43, id="very long"),
    ],
)
def test_what_we_did_not_sign_for_this_is_refused(token: str) -> None:
    """Whatever is wrong with a token, one error says so, and says nothing else."""
    with pytest.raises(LinkInvalid) as refused:
        verify(token, "choices", KEYS, NOW)

    assert str(refused.value) == str(LinkInvalid())


@given(st.integers(0, len(TOKEN) - 1), st.sampled_from(ALPHABET))
def test_no_changed_character_goes_unnoticed(place: int, character: str) -> None:
    """A token has one spelling: with any other character at any place it is none."""
    changed = TOKEN[:place] + character + TOKEN[place + 1 :]
    if changed != TOKEN:
        with pytest.raises(LinkInvalid):
            verify(changed, "choices", KEYS, NOW)


@given(st.text(max_size=900))
def test_no_text_makes_it_fail_otherwise(text: str) -> None:
    """Anything at all that is no token is refused as such."""
    with pytest.raises(LinkInvalid):
        verify(text, "choices", KEYS, NOW)


def test_a_payload_cannot_be_exchanged() -> None:
    """Who can read a token cannot write one: another payload needs another MAC."""
    name, payload, mac = TOKEN.split(".")
    text = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)).replace(b"kim@", b"boss@")
    forged = base64.urlsafe_b64encode(text).rstrip(b"=").decode()

    with pytest.raises(LinkInvalid):
        verify(f"{name}.{forged}.{mac}", "choices", KEYS, NOW)


def test_a_link_ends_when_it_was_to_end() -> None:
    """With an expiry it works until that second; what it says does not show it."""
    token = sign(NEW, "decide", SAYS, NOW + timedelta(seconds=10))

    assert verify(token, "decide", KEYS, NOW + timedelta(seconds=9)) == SAYS
    with pytest.raises(LinkExpired) as refused:
        verify(token, "decide", KEYS, NOW + timedelta(seconds=10))
    assert (refused.value.said, refused.value.until) == (SAYS, NOW + timedelta(seconds=10))


def test_an_expired_forgery_is_a_forgery() -> None:
    """That its time is over is told of links that we made alone."""
    token = sign(LinkKey("2", b"x" * 32), "decide", SAYS, NOW)

    with pytest.raises(LinkInvalid) as refused:
        verify(token, "decide", KEYS, NOW + timedelta(days=1))
    assert not isinstance(refused.value, LinkExpired)


def test_a_secret_is_not_shown() -> None:
    """What prints a key prints no secret."""
    assert "nnn" not in repr(NEW)
    assert "6e6e" not in repr(NEW)
