"""What the SMTP server does to each message, from the seed alone.

Every recipient of a storm gets one mail, so recipient and number of the try name an attempt, and the same
seed does the same to it. Before RCPT a server does not know whom a message is for: there the number of the
session or of the transaction decides.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from smtp_server import Action, Verb

#: Of so many parts of all tries this many go wrong.
SHARE = 0.10
#: From this try on a message is left in peace, so that a storm ends.
TRIES = 4
#: Of sessions and of transactions, before the recipient is known.
EARLY_SHARE = 0.01

Loss = Literal["", "kept", "dropped"]


@dataclass(frozen=True, slots=True)
class Deed:
    """One thing that a server does instead of what it should.

    Attributes:
        name: For the report.
        reply: In place of the usual one; with ``cut`` it goes out before.
        keep: Whether it keeps the message all the same; at ``DOT`` only.
        slow: Seconds to wait first, at most.
        weight: How often, against the others of its kind.
    """

    name: str
    verb: Verb
    reply: str | None = None
    action: Action = "reply"
    keep: bool = False
    slow: float = 0.0
    weight: int = 4

    @property
    def loses_the_answer(self) -> bool:
        """Whether the message is kept and the client never hears of it."""
        return self.keep and (self.action == "cut" or not (self.reply or "250").startswith("250"))


_GARBAGE = "\x00\xfe?? this is no reply"
HANG = 5.0
DEEDS = (
    Deed("4xx at RCPT", "RCPT", "450 4.2.1 Mailbox busy", weight=24),
    Deed("5xx at RCPT", "RCPT", "550 5.1.1 No such user", weight=18),
    Deed("421 at RCPT", "RCPT", "421 4.3.2 Closing", "cut", weight=1),
    Deed("slow at RCPT", "RCPT", slow=1.5, weight=12),
    Deed("hang at RCPT", "RCPT", action="cut", slow=HANG, weight=1),
    Deed("cut at RCPT", "RCPT", action="cut", weight=12),
    Deed("garbage at RCPT", "RCPT", _GARBAGE, weight=6),
    Deed("4xx at DATA", "DATA", "451 4.3.0 Try later", weight=18),
    Deed("5xx at DATA", "DATA", "554 5.6.0 Not wanted", weight=6),
    Deed("421 at DATA", "DATA", "421 4.3.2 Closing", "cut", weight=1),
    Deed("cut before DATA", "DATA", action="cut", weight=12),
    Deed("cut after 354", "DATA", "354 Go on", "cut", weight=12),
    Deed("hang at DATA", "DATA", action="cut", slow=HANG, weight=1),
    Deed("cut within DATA", "BODY", action="cut", weight=12),
    Deed("hang within DATA", "BODY", action="cut", slow=HANG, weight=1),
    Deed("4xx at DOT", "DOT", "452 4.3.1 No room", weight=18),
    Deed("5xx at DOT", "DOT", "552 5.3.4 Too much", weight=9),
    Deed("421 at DOT", "DOT", "421 4.3.2 Closing", "cut", weight=1),
    Deed("slow at DOT", "DOT", "250 2.0.0 Ok at last", slow=2.5, keep=True, weight=18),
    Deed("hang at DOT, kept", "DOT", action="cut", keep=True, slow=HANG, weight=1),
    Deed("hang at DOT, dropped", "DOT", action="cut", slow=HANG, weight=1),
    Deed("cut after DOT, kept", "DOT", action="cut", keep=True, weight=24),
    Deed("cut after DOT, dropped", "DOT", action="cut", weight=24),
    Deed("garbage at DOT, kept", "DOT", _GARBAGE, keep=True, weight=6),
    Deed("garbage at DOT, dropped", "DOT", _GARBAGE, weight=6),
)
EARLY = (
    Deed("421 at CONNECT", "CONNECT", "421 4.3.2 Not now", "cut"),
    Deed("cut at CONNECT", "CONNECT", action="cut"),
    Deed("garbage at CONNECT", "CONNECT", _GARBAGE, "cut"),
    Deed("cut at EHLO", "EHLO", action="cut"),
    Deed("4xx at MAIL", "MAIL", "451 4.3.0 Try later", weight=12),
    Deed("5xx at MAIL", "MAIL", "550 5.7.1 Not from you", weight=6),
    Deed("421 at MAIL", "MAIL", "421 4.3.2 Closing", "cut", weight=1),
    Deed("slow at MAIL", "MAIL", slow=1.5),
    Deed("cut at MAIL", "MAIL", action="cut", weight=2),
    Deed("garbage at MAIL", "MAIL", _GARBAGE, weight=1),
)


def chance(*what: object) -> float:
    """A number from 0 to below 1 that depends on `what` alone."""
    text = "\0".join(map(str, what))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=7).digest()) / 2**56


def deed_for(seed: int, recipient: str, nth: int) -> Deed | None:
    """What happens to the `nth` try, counted from 1, of the message to `recipient`; mostly nothing."""
    if nth >= TRIES or chance(seed, recipient, nth, "whether") >= SHARE:
        return None
    return _pick(DEEDS, chance(seed, recipient, nth, "what"))


def early_deed(seed: int, verb: Verb, ordinal: int) -> Deed | None:
    """What happens at a place before RCPT, the `ordinal` time that any session comes by there."""
    deeds = [deed for deed in EARLY if deed.verb == verb]
    if not deeds or chance(seed, verb, ordinal, "whether") >= EARLY_SHARE:
        return None
    return _pick(deeds, chance(seed, verb, ordinal, "what"))


def _pick(deeds: Sequence[Deed], at: float) -> Deed:
    mark = at * sum(deed.weight for deed in deeds)
    for deed in deeds:
        mark -= deed.weight
        if mark < 0:
            return deed
    return deeds[-1]
