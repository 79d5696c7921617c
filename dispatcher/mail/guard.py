"""What leaves is what was meant: proofs in place of a parser, wherever they are as sure.

`dispatcher.mail.parts.verify` parses a message as its reader would, which takes longer than all else about
it. So it sees each *frame*, a message without its words, once. What a variant puts into the frame is a
subject and bodies, and for these a proof is stricter than a parser: nothing in them can begin or end a header
or a part, and they read back to the letter.
"""

from __future__ import annotations

import binascii
import re

#: What a quoted-printable body is written in; `=`, CR and LF have rules of their own.
_QP = bytes(byte for byte in range(256) if 0x20 <= byte < 0x7F or byte in b"\t\r\n")
_NO_ESCAPE = re.compile(rb"=(?![0-9A-F]{2}|\r\n)")
# The two ways in which `header.unstructured` writes: words of ASCII, or encoded words alone; so no line of it
# begins anything but itself.
_PLAIN = re.compile(
    rb"[A-Za-z-]+: (?:[\x21-\x7e]+(?: [\x21-\x7e]+)*)?(?:\r\n [\x21-\x7e]+(?: [\x21-\x7e]+)*)*\r\n"
)
_WORD = rb"=\?utf-8\?(?:q\?(?:[A-Za-z0-9!*+/_-]|=[0-9A-F]{2})*|b\?[A-Za-z0-9+/]*={0,2})\?="
_ENCODED = re.compile(rb"[A-Za-z-]+: %b(?:\r\n %b)*\r\n" % (_WORD, _WORD))
_SAID = re.compile(rb"=\?utf-8\?([qb])\?([^?]*)\?=")


def body_holds(encoded: bytes, said: bytes) -> None:
    """Proves that a body in quoted-printable says `said`, and is nothing but text to any reader.

    A boundary begins with ``=_``, which a flawless body has nowhere: its ``=`` stands before two digits or at
    the end of a line. So it ends no part, and with only CRLF at the ends of lines it begins no header.

    Args:
        encoded: The body as it leaves.
        said: What it decodes to, with CRLF.

    Raises:
        ValueError: It is not quoted-printable, has a line that ends without CRLF, or says something else.
    """
    if foreign := encoded.translate(None, _QP):
        raise ValueError(f"a body has the byte {foreign[:1]!r}, which quoted-printable does not have")
    if not encoded.count(b"\r\n") == encoded.count(b"\r") == encoded.count(b"\n"):
        raise ValueError("a body has a line that does not end with CRLF")
    if found := _NO_ESCAPE.search(encoded):
        raise ValueError(f"a body has a `=` that escapes nothing, at byte {found.start()}")
    if binascii.a2b_qp(encoded) != said:
        raise ValueError("a body reads back as something else than it was written from")


def header_holds(line: bytes, said: str) -> None:
    """Proves that a header of free text is one header, and that it says `said`.

    Raises:
        ValueError: It is not as `dispatcher.mail.header.unstructured` writes, or says something else.
    """
    if _ENCODED.fullmatch(line):
        read = "".join(map(_decoded, _SAID.finditer(line)))
    elif _PLAIN.fullmatch(line) and b"=?" not in line:
        read = line.partition(b": ")[2][:-2].replace(b"\r\n ", b" ").decode("ascii")
    else:
        raise ValueError(f"{line[:80]!r} is not one header in words or encoded words")
    if read != said:
        raise ValueError(f"the header {line[:80]!r} reads back as something else than it was written from")


def _decoded(word: re.Match[bytes]) -> str:
    is_q, text = word[1] == b"q", word[2]
    return (binascii.a2b_qp(text, header=True) if is_q else binascii.a2b_base64(text)).decode()
