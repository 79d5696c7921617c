"""What a user is told when the SMTP server cannot be used. Pure."""

from __future__ import annotations

import ssl

from aiosmtplib import SMTPAuthenticationError

from dispatcher.errors import ServiceUnreachable
from dispatcher.settings import RelayAddress
from dispatcher.smtp import replies
from dispatcher.smtp.session import masked


def unusable(address: RelayAddress, error: Exception) -> ServiceUnreachable:
    """The error with the address, what happened, and what to do; never with the password."""
    what = masked(replies.plain(replies.describe(error)), address).rstrip(".")
    return ServiceUnreachable("smtp", f"The SMTP relay {address} cannot be used: {what}. {_advice(error)}")


def _advice(error: Exception) -> str:
    causes = (error, error.__cause__)
    if isinstance(error, SMTPAuthenticationError):
        return "Check the user name and password in DISPATCHER_SMTP_URL."
    if any(isinstance(cause, ssl.SSLError) for cause in causes):
        return (
            "Check that the certificate is valid for this host name and trusted here, and that the "
            "URL in DISPATCHER_SMTP_URL speaks of the right kind of TLS for this port."
        )
    if "STARTTLS" in str(error):
        return "Use a port with TLS in DISPATCHER_SMTP_URL, or have STARTTLS turned on at the relay."
    return (
        "Check host and port in DISPATCHER_SMTP_URL, that the relay runs, and that it takes "
        "connections from here."
    )
