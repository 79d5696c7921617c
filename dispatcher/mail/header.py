"""Header fields as bytes: folded at 76 columns, and outside ASCII as RFC 2047 says.

No value ever brings a line break of its own.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator
from functools import lru_cache

from dispatcher.domain.address import canonical

#: RFC 2047, section 2: no line that holds an encoded word is longer than this.
WIDTH = 76

# A line break in any of its disguises would begin a header of its own at some reader.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_WORDS = re.compile(r"[\x21-\x7e]+(?: [\x21-\x7e]+)*")
_PLAIN = re.compile(r"[A-Za-z0-9!*+/-]")  # RFC 2047, 5 (3): what Q leaves as it is in a name
_ID = re.compile(r"<[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,200}@[A-Za-z0-9.-]{1,253}>")
_OVERHEAD = len("=?utf-8?q??=")


def checked(name: str, value: str) -> str:
    """`value`, if it can be one header's value.

    Raises:
        ValueError: It has a C0 or C1 control character, U+2028, U+2029 or half a surrogate pair.
    """
    if found := _CONTROL.search(value):
        raise ValueError(
            f"{name} has the character U+{ord(found[0]):04X} at position {found.start()}; "
            "a header has no line breaks and no control characters"
        )
    return value


def unstructured(name: str, value: str) -> bytes:
    """A whole header of free text, such as ``Subject``, with its CRLF.

    Plain ASCII stays readable; what is not, or looks like an encoded word, is encoded.

    Raises:
        ValueError: See `checked`.
    """
    checked(name, value)
    if "=?" not in value and (not value or _WORDS.fullmatch(value)):
        first, *words = value.split(" ")
        lines = list(_folded(f"{name}: {first}", words))
        if all(len(line) <= WIDTH for line in lines):
            return _lines(lines)
    return _lines(_encoded(f"{name}: ", value))


def structured(name: str, value: str) -> bytes:
    """A whole header that programs read, with its CRLF: folded at blanks, never encoded.

    ``List-*`` is not folded either: its readers are known to stumble over that.

    Raises:
        ValueError: `value` is not printable ASCII, or looks like an encoded word.
    """
    if not checked(name, value).isascii() or "=?" in value:
        raise ValueError(f"{name} is {value[:80]!r}; write it in ASCII, without '=?'")
    first, *words = [value] if name.startswith("List-") else value.split(" ")
    return _lines(_folded(f"{name}: {first}", words))


def mailbox(header: str, name: str | None, address: str) -> bytes:
    """A whole ``From`` or ``To`` with one mailbox, with its CRLF.

    Only a line that holds nothing but a long address gets longer than 76: an address cannot be folded.

    Raises:
        ValueError: The name has control characters (`checked`), or the address is none (`AddressInvalid`).
    """
    address = canonical(address)
    if not name:
        return f"{header}: {address}\r\n".encode("ascii")
    # Runs of blanks mean nothing in a name, and parsers treat them differently.
    name = " ".join(checked(f"the name in {header}", name).split())
    if not name:
        return _lines([f"{header}: {address}"])
    angle = f"<{address}>"
    if name.isascii() and "=?" not in name and len(name) <= WIDTH // 2:
        phrase = name if _ATOMS.fullmatch(name) else _quoted(name)
        return _lines(_folded(f"{header}: {phrase}", [angle]))
    *lines, last = _encoded(f"{header}: ", name)
    return _lines([*lines, *_folded(last, [angle])])


def identifier(name: str, value: str) -> bytes:
    """A whole header that holds one message id, with its CRLF; ids are not folded.

    Raises:
        ValueError: `value` is no message id in angle brackets.
    """
    if not _ID.fullmatch(value):
        raise ValueError(f"{name} is {value[:80]!r}; a message id is of the form <id@example.com>")
    return f"{name}: {value}\r\n".encode("ascii")


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _folded(line: str, words: list[str]) -> Iterator[str]:
    """The lines that begin with `line` and go on with `words`, each as full as `WIDTH` allows."""
    for word in words:
        if len(line) + 1 + len(word) <= WIDTH:
            line = f"{line} {word}"
        else:
            yield line
            line = f" {word}"
    yield line


def _encoded(line: str, text: str) -> Iterator[str]:
    """Lines of encoded words, in whichever of Q and B is shorter, cut only between characters."""
    q, octets = [_q(character) for character in text], [len(c.encode()) for c in text]
    is_q = sum(map(len, q)) <= sum(octets) * 4 / 3
    start = used = 0
    for index in range(len(text)):
        more = used + (len(q[index]) if is_q else octets[index])
        size = more if is_q else -(-more // 3) * 4
        if index > start and len(line) + _OVERHEAD + size > WIDTH:
            yield line + _word(text[start:index], is_q=is_q)
            line, start = " ", index
            more -= used
        used = more
    yield line + _word(text[start:], is_q=is_q)


def _word(text: str, *, is_q: bool) -> str:
    if is_q:
        return f"=?utf-8?q?{''.join(map(_q, text))}?="
    return f"=?utf-8?b?{b64encode(text.encode()).decode('ascii')}?="


@lru_cache(4096)
def _q(character: str) -> str:
    if _PLAIN.fullmatch(character):
        return character
    return "_" if character == " " else "".join(f"={byte:02X}" for byte in character.encode())


def _lines(lines: Iterable[str]) -> bytes:
    return "".join(f"{line}\r\n" for line in lines).encode("ascii")
