"""Bearer tokens (RFC 6750): who asks, and whether they may."""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final, Literal

from dispatcher.errors import ServiceUnreachable
from dispatcher.flow.tokens import token_hash
from dispatcher.ledger.tokens import Tokens
from dispatcher.settings import TokenEntry
from dispatcher.web.problems import Refusal
from dispatcher.web.shared import Shared

Scope = Literal["send", "read"]

#: RFC 6750, 2.1. Ours have 47 characters; others may have been configured.
_BEARER: Final = re.compile(rb"bearer +([A-Za-z0-9\-._~+/]{1,512}=*)", re.IGNORECASE)
#: A token's use is noted no oftener: each note is a commit.
NOTED_EVERY: Final = timedelta(minutes=10)
_MAKE_ONE: Final = "Make one with: dispatcher token new NAME"


class Auth:
    """Knows the tokens of the settings and asks the ledger for its own at each request.

    A token of the ledger is therefore in force, and out of force, as soon as its row is committed. Requests
    that come at the same time share one look, which begins after the last of them came.
    """

    def __init__(
        self, configured: Sequence[TokenEntry], tokens: Tokens, clock: Callable[[], datetime]
    ) -> None:
        self._configured = tuple(configured)
        self._tokens = tokens
        self._clock = clock
        self._active = Shared(self._look)
        self._noted: dict[str, datetime] = {}

    async def require(self, scope: Scope, headers: Sequence[tuple[bytes, bytes]]) -> TokenEntry:
        """The token that the request carries, if it is in force and covers `scope`.

        Raises:
            Refusal: 401, there is none or it is not in force; 403, it does not cover `scope`.
            ServiceUnreachable: The ledger cannot say.
        """
        given = [value for name, value in headers if name == b"authorization"]
        match = _BEARER.fullmatch(given[0].strip()) if len(given) == 1 else None
        if match is None:
            raise await self._unauthenticated(given)
        digest = token_hash(match[1].decode("ascii"))
        entry = _find(digest, self._configured) or await self._in_ledger(digest)
        if entry is None:
            raise await self._unauthenticated(given)
        if not entry.scopes & {scope, "admin"}:
            challenge = f'Bearer realm="dispatcher", error="insufficient_scope", scope="{scope}"'
            detail = f"The token {entry.name!r} lacks the scope {scope}. {_MAKE_ONE} --scope {scope}"
            raise Refusal(403, detail, headers={"WWW-Authenticate": challenge})
        return entry

    async def _look(self) -> Sequence[TokenEntry]:
        return await self._tokens.active()

    async def _in_ledger(self, digest: str) -> TokenEntry | None:
        entry = _find(digest, await self._active())
        if entry is not None:
            await self._note(digest)
        return entry

    async def _note(self, digest: str) -> None:
        now = self._clock()
        if digest not in self._noted or now - self._noted[digest] >= NOTED_EVERY:
            self._noted[digest] = now
            with suppress(ServiceUnreachable):  # the request itself will tell
                await self._tokens.used(digest)

    async def _unauthenticated(self, given: Sequence[bytes]) -> Refusal:
        if not self._configured and not await self._active():
            detail = f"There is no API token yet. {_MAKE_ONE}"
        elif given:
            detail = f"The token is not known, or was revoked. {_MAKE_ONE}"
        else:
            detail = f"Send a token: Authorization: Bearer dsp_… {_MAKE_ONE}"
        error = ', error="invalid_token"' if given else ""
        return Refusal(401, detail, headers={"WWW-Authenticate": f'Bearer realm="dispatcher"{error}'})


def _find(digest: str, entries: Iterable[TokenEntry]) -> TokenEntry | None:
    """The entry with that hash; looks at all of them, for the same time whichever it is."""
    found = None
    for entry in entries:
        if hmac.compare_digest(entry.sha256, digest):
            found = entry
    return found
