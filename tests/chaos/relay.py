"""The SMTP server of a storm: it does to each message what `chaos.deeds` says, and remembers what it kept."""

from __future__ import annotations

import re
import time
from collections import Counter

import smtp_server
from smtp_server import Rule, SmtpServer, Verb

from chaos import deeds
from chaos.deeds import Deed
from chaos.verdict import Kept

_MESSAGE_ID = re.compile(rb"^Message-ID:\s*(\S+)", re.IGNORECASE | re.MULTILINE)


class StormyServer(SmtpServer):
    """A server with moods.

    Args:
        seed: Of the storm.
        pace: Seconds that the reply to a message takes on the average, so that there is mail on the way at
            all times.

    Attributes:
        moody: Whether it does anything but what it should.
        kept_mail: Every message it made its own.
        times: When, in monotonic seconds.
        done: How often it did what.
        lost_answers: How many messages it kept of which the client could not hear.
    """

    def __init__(self, seed: int, pace: float) -> None:
        super().__init__()
        self.seed, self.pace = seed, pace
        self.moody = True
        self.kept_mail: list[Kept] = []
        self.done: Counter[str] = Counter()
        self.lost_answers = 0
        self.times: list[float] = []
        self._tries: Counter[str] = Counter()
        self._ordinals: Counter[Verb] = Counter()

    def rule(self, verb: Verb, recipients: list[str]) -> Rule | None:
        """What the mood of the moment wants."""
        recipient = recipients[0] if recipients else None
        if recipient is not None and verb == "RCPT":
            self._tries[recipient] += 1
        if not self.moody:
            return None
        if recipient is None:
            return self._early(verb)
        nth = self._tries[recipient]
        deed = deeds.deed_for(self.seed, recipient, nth)
        if deed is not None and deed.verb == verb:
            return self._do(deed, deeds.chance(self.seed, recipient, nth, "how slow"))
        if verb == "DOT" and deed is None:
            delay = 2 * self.pace * deeds.chance(self.seed, recipient, nth, "pace")
            return Rule("DOT", None, smtp_server.OK["DOT"], "reply", False, None, 0, delay)
        return None

    def take(self, kept: smtp_server.Kept) -> None:
        """Remember whose message it was; the bytes of twenty thousand would fill the memory."""
        self.times.append(time.monotonic())
        found = _MESSAGE_ID.search(kept.message)
        self.kept_mail.append(Kept(kept.recipient, found[1].decode() if found else "none"))

    def _early(self, verb: Verb) -> Rule | None:
        self._ordinals[verb] += 1
        ordinal = self._ordinals[verb]
        deed = deeds.early_deed(self.seed, verb, ordinal)
        return self._do(deed, deeds.chance(self.seed, verb, ordinal, "how slow")) if deed else None

    def _do(self, deed: Deed, patience: float) -> Rule:
        self.done[deed.name] += 1
        self.lost_answers += deed.loses_the_answer
        # Half of it at least: a hang that ends at once is none.
        delay = deed.slow * (0.5 + patience / 2)
        return Rule(deed.verb, None, deed.reply, deed.action, deed.keep, None, 0, delay)
