"""What an SMTP server's answer, or its silence, means for one message. Pure."""

from __future__ import annotations

import re

from aiosmtplib import SMTPResponseException

from dispatcher.domain.delivery import Outcome, Status

#: What the ledger keeps of a reply; longer ones are advertising.
REPLY_LENGTH = 500

#: RFC 2034 section 4: the code is the first word of a reply's line. Some servers write `#5.1.1`.
#: Elsewhere in the text it would more likely be a version or an IP address.
_ENHANCED = re.compile(r"^[ \t]*#?([245])\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})(?![\d.]*\d)", re.MULTILINE)

#: 5yz replies that blame our session, not the message: bad sequence (503; several servers say it for
#: "log in first"), authentication required or refused (RFC 4954 section 6, RFC 3207 section 4).
#: Failing a message for good because of a wrong password would throw away the whole queue.
_SESSION_AT_FAULT = frozenset({503, 530, 534, 535, 538})

SERVICE_CLOSING = 421  # RFC 5321 section 3.8: may answer any command; the server then hangs up
NO_STORAGE = 452  # RFC 5321 section 4.2.3; a reader's full mailbox has an enhanced code, 4.2.2
START_INPUT = 354
COMPLETED = 250
FORWARDED = 251  # RFC 5321 section 3.4: taken all the same


def enhanced_code(code: int, text: str) -> str | None:
    """The enhanced status code (RFC 3463) in a reply's text.

    Args:
        code: The reply code; an enhanced code of another class does not belong to it.
        text: The reply's text without the code, lines separated by line feeds.

    Returns:
        ``class.subject.detail`` such as ``5.1.1``, or None.
    """
    for found in _ENHANCED.finditer(text):
        if int(found[1]) == code // 100:
            return ".".join(found.groups())
    return None


def plain(text: str) -> str:
    """One line of printable characters, at most `REPLY_LENGTH`: fit for a ledger, a log, a terminal."""
    if len(text) <= REPLY_LENGTH and text.isprintable() and "  " not in text and text == text.strip(" "):
        return text
    line = " ".join(text[: 4 * REPLY_LENGTH].split())
    return "".join(char for char in line if char.isprintable())[:REPLY_LENGTH]


def accepted(text: str) -> Outcome:
    """The server's 250 after the final dot."""
    return Outcome(Status.SENT, "accepted", COMPLETED, enhanced_code(COMPLETED, text), plain(text))


def refused(code: int, text: str) -> Outcome:
    """A 4yz or 5yz reply to MAIL, RCPT, DATA or the final dot (RFC 5321 section 4.2.1)."""
    if code == SERVICE_CLOSING or code in _SESSION_AT_FAULT:
        status, reason = Status.DEFERRED, "relay_unreachable"
    elif code < 500:
        status, reason = Status.DEFERRED, "refused_temporarily"
    else:
        status, reason = Status.FAILED, "refused_permanently"
    return Outcome(status, reason, code, enhanced_code(code, text), plain(text))


def is_overload(outcome: Outcome) -> bool:
    """Whether a 4yz reply is about the server, not the message: its system or its congestion (RFC 3463)."""
    if outcome.code is None or outcome.code // 100 != 4:
        return False
    if outcome.enhanced_code is None:
        return outcome.code in {SERVICE_CLOSING, NO_STORAGE}
    return outcome.enhanced_code == "4.4.5" or outcome.enhanced_code.startswith("4.3.")


def is_refusal(code: int) -> bool:
    """True for 4yz and 5yz; any other unexpected code means that replies are out of step."""
    return 400 <= code <= 599


def broken(what: str) -> Outcome:
    """The session broke before the message was handed over: safe to try again."""
    return Outcome(Status.DEFERRED, "relay_unreachable", reply=plain(what))


def unreachable(what: str, error: BaseException | None = None) -> Outcome:
    """There is no session, so the server heard nothing of the message."""
    code, enhanced = None, None
    if isinstance(error, SMTPResponseException) and error.code > 0:
        code, enhanced = error.code, enhanced_code(error.code, error.message)
    return Outcome(Status.DEFERRED, "relay_unreachable", code, enhanced, plain(what), tried=False)


def domain_full(seconds: float) -> Outcome:
    """The recipient's domain is at its limit, so nothing was begun."""
    what = "The recipient's domain is at its limit (DISPATCHER_SMTP_DOMAINS)"
    return Outcome(Status.DEFERRED, "domain_limit", reply=what, tried=False, later=seconds)


def lost(what: str) -> Outcome:
    """The session broke once the message was on its way: nobody can know (RFC 1047)."""
    return Outcome(Status.UNCERTAIN, "lost_after_data", reply=plain(what))


def unsendable(what: str) -> Outcome:
    """The envelope or the message must not be put on the wire."""
    return Outcome(Status.FAILED, "unsendable", reply=plain(what))


def describe(error: BaseException) -> str:
    """An exception in words: the reply with its code, or its own text, or at least its name."""
    if isinstance(error, SMTPResponseException):
        return f"{error.code} {error.message}" if error.code > 0 else error.message
    if isinstance(error, TimeoutError) and not str(error):
        return "Timed out"
    return str(error) or type(error).__name__
