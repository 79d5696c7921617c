from __future__ import annotations

import time

import pytest
from domain_examples import steady
from hypothesis import given
from hypothesis import strategies as st
from slow import PATIENT

from dispatcher.domain.address import AddressInvalid, canonical, folded

VALID = (
    "ops@example.com",
    "o@e.co",
    "first.last@example.com",
    "user+tag@example.co.uk",
    "o'brien@example.com",
    "a!#$%&'*+/=?^_`{|}~-z@example.com",
    "1234567890@example.com",
    "ops@a-b.example.com",
    "ops@xn--mnchen-3ya.example",
    "ops@1.example.com",
    "ops@163.com",
    "ops@example.c0m",
    f"{'l' * 64}@example.com",
    f"ops@{'d' * 63}.example.com",
    f"{'l' * 64}@{'d' * 63}.{'d' * 63}.{'d' * 57}.com",
)

FORM = "is not of the form name@example.com"
CONTROL = "has a line break or another control character; write one address on one line"
COMMA = "holds a comma or a semicolon; write several addresses as several entries"
NAME = "holds a name; write {address: ops@example.com, name: Operations}"
BLANK = "holds a blank; an address has none"
LOCAL = "has characters outside ASCII before the @, which most mail servers refuse"
INVALID = (
    ("", FORM),
    ("ops", FORM),
    ("@", FORM),
    ("ops@", FORM),
    ("@example.com", FORM),
    ("ops@@example.com", FORM),
    ("ops@example@example.com", FORM),
    ("ops@example@localhost", FORM),
    (".ops@example.com", FORM),
    ("ops.@example.com", FORM),
    ("o..ps@example.com", FORM),
    ("ops@example..com", FORM),
    ("ops@.example.com", FORM),
    ("ops@example.com.", FORM),
    ("ops@-example.com", FORM),
    ("ops@example-.com", FORM),
    ("ops@exam_ple.com", FORM),
    (f"ops@{'d' * 64}.com", FORM),
    ('"ops"@example.com', FORM),
    ("ops@[192.0.2.1]", FORM),
    ("ops(comment)@example.com", FORM),
    ("mailto:ops@example.com", FORM),
    ("ops@localhost", "has no full domain after the @; write ops@localhost.example.com, say"),
    ("ops@192.0.2.1", "has numbers for a domain; write the server's name"),
    ("ops@example.com\n", CONTROL),
    ("ops@example.com\r\nBcc: all@example.com", CONTROL),
    ("ops\x00@example.com", CONTROL),
    ("ops\t@example.com", CONTROL),
    ("ops@example.com\u2028", CONTROL),
    ("ops\x85@example.com", CONTROL),
    ("ops@example.com, dev@example.com", COMMA),
    ("ops@example.com;dev@example.com", COMMA),
    ("Operations <ops@example.com>", NAME),
    ("<ops@example.com>", NAME),
    (" ops@example.com", BLANK),
    ("ops@example.com ", BLANK),
    ("our ops@example.com", BLANK),
    ('"our ops"@example.com', BLANK),
    ("ops\u00a0@example.com", BLANK),
    ("öps@example.com", LOCAL),
    ("о\u0440s@example.com", LOCAL),
    ("\u202eops@example.com", LOCAL),
    ("ops@münchen.example", "has a domain outside ASCII; write it as xn--mnchen-3ya.example"),
    ("ops@BÜCHER.example", "has a domain outside ASCII; write it as xn--bcher-kva.example"),
    ("ops@straße.example", "has a domain outside ASCII; write it as its xn-- form"),
    ("ops@ｅxample.com", "has a domain outside ASCII; write it as its xn-- form"),
    ("ops@ex\u200dample.com", "has a domain outside ASCII; write it as its xn-- form"),
    ("ops@\ud800.com", "has a domain outside ASCII; write it as its xn-- form"),
    (
        f"ops@{'d' * 292}.com",
        "is 300 characters long; an address has at most 254, of which 64 before the @",
    ),
    (
        f"{'l' * 65}@example.com",
        "is 77 characters long; an address has at most 254, of which 64 before the @",
    ),
    (
        f"{'l' * 64}@{'d' * 63}.{'d' * 63}.{'d' * 58}.com",
        "is 255 characters long; an address has at most 254, of which 64 before the @",
    ),
)


@pytest.mark.parametrize("text", VALID)
def test_a_valid_address_stays_as_it_is(text: str) -> None:
    """A plain mailbox address in lower case is its own canonical form."""
    assert canonical(text) == text


@pytest.mark.parametrize(("text", "message"), INVALID)
def test_an_invalid_address_is_refused_with_what_to_do(text: str, message: str) -> None:
    """The refusal is the sentence that helps most with this fault."""
    with pytest.raises(AddressInvalid) as refused:
        canonical(text)

    assert str(refused.value) == message


def test_only_the_domain_loses_its_case() -> None:
    """What stands before the @ belongs to its owner; DNS knows no case."""
    assert canonical("Ann.Ops@EXAMPLE.Com") == "Ann.Ops@example.com"


def test_spellings_that_differ_in_case_are_one_address() -> None:
    """Addresses compare without regard to case, on both sides of the @."""
    assert folded("Ann@Example.com") == folded("aNN@eXAMPLE.COM")
    assert folded("ann@example.com") != folded("anna@example.com")


@pytest.mark.parametrize(
    "text",
    [
        "a" * 100_000,
        "a." * 50_000,
        "a@" * 50_000,
        "a@" + "a." * 50_000,
        "a@" + "a-" * 50_000,
        "." * 100_000,
        "@" * 100_000,
        "a@" + "ü" * 100_000,
        "ü." * 50_000 + "@ü",
    ],
    ids=range(9),
)
def test_a_huge_text_is_refused_at_once(text: str) -> None:
    """No text, however it is made, keeps the check busy."""
    start = time.process_time()
    with pytest.raises(AddressInvalid):
        canonical(text)

    assert time.process_time() - start < 0.2 * PATIENT


@steady
@given(st.text(st.sampled_from("aA0.-_@\"<>,; \n\u00fc\u2028+'"), max_size=30))
def test_what_is_accepted_is_safe_in_a_header(text: str) -> None:
    """Whatever is accepted is plain ASCII with one @, and accepting it again changes nothing."""
    try:
        address = canonical(text)
    except AddressInvalid:
        return

    assert address.isascii()
    assert address.isprintable()
    assert address.count("@") == 1
    assert not set(address) & set('"<>,; ')
    assert canonical(address) == address
