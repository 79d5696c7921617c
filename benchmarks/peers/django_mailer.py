"""django-mailer.

As its README says: ``mailer.backend.DbBackend`` stores what `django.core.mail` is given, and the command
``send_mail`` of "Clear queue" sends it, in one process over one connection.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.peers.mails import SENDER


def configure(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings of the README, without its limits of messages for each run."""
    return settings | {
        "INSTALLED_APPS": ["mailer"],
        "EMAIL_BACKEND": "mailer.backend.DbBackend",
        "MAILER_EMAIL_MAX_BATCH": None,
    }


def send(subject: str, html: str, text: str, addresses: Sequence[str]) -> None:
    """Queue a mail to each address, then have them sent."""
    from django.core.mail import EmailMultiAlternatives, get_connection  # noqa: PLC0415 - Django must be set up
    from django.core.management import call_command  # noqa: PLC0415 - likewise
    from django.template import Context, Template  # noqa: PLC0415 - likewise

    html_template, text_template = Template(html), Template(text)
    messages = []
    for address in addresses:
        context = Context({"address": address})
        message = EmailMultiAlternatives(subject, text_template.render(context), SENDER, [address])
        message.attach_alternative(html_template.render(context), "text/html")
        messages.append(message)
    get_connection().send_messages(messages)
    call_command("send_mail", verbosity=0)
