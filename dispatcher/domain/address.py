"""Mail addresses: one canonical form, and a plain word on what is wrong with a bad one.

The grammar is the part of RFC 5321, section 4.1.2, that mailboxes really use: a dot-string before the
``@``, letters-digits-hyphens after it. Quoted local parts and address literals are refused, because what
they look like to a reader and what they mean to a server differ.
"""

from __future__ import annotations

import re

MAX_ADDRESS = 254  # RFC 5321, 4.5.3.1.3: a path is 256 octets with its angle brackets
MAX_LOCAL = 64  # RFC 5321, 4.5.3.1.1

_ATEXT = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ADDRESS = re.compile(rf"({_ATEXT}(?:\.{_ATEXT})*)@((?:{_LABEL}\.)+{_LABEL})")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class AddressInvalid(ValueError):  # noqa: N818
    """An address cannot be used; the text says why and what would be right."""


def canonical(text: str) -> str:
    """The address with its domain in lower case; the local part stays as its owner wrote it.

    Raises:
        AddressInvalid: It is not one plain mailbox address.
    """
    match = _ADDRESS.fullmatch(text) if len(text) <= MAX_ADDRESS else None
    if match is None or len(match[1]) > MAX_LOCAL or match[2].rpartition(".")[2].isdigit():
        raise AddressInvalid(_fault(text))
    return f"{match[1]}@{match[2].lower()}"


def folded(address: str) -> str:
    """What two spellings of one address have in common: addresses compare without regard to case."""
    return address.casefold()


def _fault(text: str) -> str:
    """Why `text` is no address; the most telling fault first."""
    local, at, domain = text.rpartition("@")
    if _CONTROL.search(text):
        return "has a line break or another control character; write one address on one line"
    if len(text) > MAX_ADDRESS or len(local) > MAX_LOCAL:
        return (
            f"is {len(text)} characters long; an address has at most {MAX_ADDRESS}, "
            f"of which {MAX_LOCAL} before the @"
        )
    if "," in text or ";" in text:
        return "holds a comma or a semicolon; write several addresses as several entries"
    if "<" in text or ">" in text:
        return "holds a name; write {address: ops@example.com, name: Operations}"
    if any(character.isspace() for character in text):
        return "holds a blank; an address has none"
    if not at or not local or not domain or "@" in local:
        return "is not of the form name@example.com"
    return _fault_in(local, domain)


def _fault_in(local: str, domain: str) -> str:
    """Why the two halves are no address."""
    if not domain.isascii():
        return f"has a domain outside ASCII; write it as {_punycode(domain)}"
    if not local.isascii():
        return "has characters outside ASCII before the @, which most mail servers refuse"
    if "." not in domain:
        return f"has no full domain after the @; write {local}@{domain}.example.com, say"
    if domain.rpartition(".")[2].isdigit():
        return "has numbers for a domain; write the server's name"
    return "is not of the form name@example.com"


def _punycode(domain: str) -> str:
    """Its ASCII form; no guess for ``ß`` and its like, which Python's older IDNA takes for another domain."""
    try:
        encoded = domain.encode("idna")
        same = encoded.decode("idna") == domain.lower()
    except UnicodeError:
        same = False
    return encoded.decode("ascii") if same else "its xn-- form"
