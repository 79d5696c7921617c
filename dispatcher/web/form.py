"""Small forms: the two encodings in which a browser or a mail program sends one (HTML, 4.10.22.7 and .8)."""

from __future__ import annotations

import email
from collections.abc import Sequence
from typing import Final
from urllib.parse import parse_qsl

from starlette.requests import Request

from dispatcher.web.limits import Limits, read_body

MULTIPART: Final = "multipart/form-data"
#: Bytes; the page's own form has a tenth of it.
MAX_BODY: Final = 16 * 1024
#: Fields; a catalogue has a few optional types, each with two.
MAX_FIELDS: Final = 400


async def read_form(request: Request, seconds: float) -> Sequence[tuple[str, str]]:
    """The fields of a form, in their order; empty if the body is no form.

    A body of any other or no type is taken for the plain encoding: mail programs that send one click are
    not all particular about the header.

    Raises:
        Refusal: 413, it is too long; 408, it comes too slowly.
        ClientDisconnect: The caller went away.
    """
    body = await read_body(request, Limits(body=MAX_BODY, seconds=seconds))
    kind = request.headers.get("content-type", "")
    if kind.partition(";")[0].strip().lower() == MULTIPART:
        return _multipart(kind, body)
    try:
        return parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError:  # not ASCII, or too many fields
        return []


def _multipart(kind: str, body: bytes) -> list[tuple[str, str]]:
    """The fields of a form in parts (RFC 7578), which is MIME but for the head that we put before it."""
    head = f"Content-Type: {kind}\r\n\r\n".encode("latin-1", "replace")
    message = email.message_from_bytes(head + body)
    fields = []
    for part in message.walk():
        name = part.get_param("name", header="content-disposition")
        value = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(value, bytes):
            fields.append((name, value.decode("utf-8", "replace").rstrip("\r\n")))
    return fields[:MAX_FIELDS]
