"""django-post_office with two processes.

As its README says: "Quickstart" (the application, an `EmailTemplate`), "send_many()" for many recipients, and
``send_queued_mail --processes=2`` of "Management Commands". Batches of 100 and threads are its defaults.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.peers.mails import SENDER

PROCESSES = 2


def configure(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings of the README's quick start."""
    return settings | {
        "INSTALLED_APPS": ["django.contrib.contenttypes", "post_office"],
        "EMAIL_BACKEND": "post_office.EmailBackend",
        "POST_OFFICE": {"BACKENDS": {"default": "django.core.mail.backends.smtp.EmailBackend"}},
    }


def send(subject: str, html: str, text: str, addresses: Sequence[str]) -> None:
    """Queue a mail to each address, then have them sent."""
    from django.core.management import call_command  # noqa: PLC0415 - Django must be set up before
    from post_office import mail  # noqa: PLC0415 - likewise
    from post_office.models import EmailTemplate  # noqa: PLC0415 - likewise

    template = EmailTemplate.objects.create(name="bench", subject=subject, content=text, html_content=html)
    mail.send_many(
        [
            {
                "recipients": [address],
                "sender": SENDER,
                "template": template,
                "context": {"address": address},
            }
            for address in addresses
        ]
    )
    call_command("send_queued_mail", processes=PROCESSES, verbosity=0)
