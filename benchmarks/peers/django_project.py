"""A Django project of one file, for the peers that are Django applications.

Run as a process of its own: ``python -m benchmarks.peers.django_project PEER FOLDER PORT NUMBER`` sets the
project up in `FOLDER`, sends `NUMBER` mails by `PEER` and prints the seconds from the first line that an
application would write to the end of the command that sends.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.harness.sinks import Sink, expect
from benchmarks.peers.mails import Mails, reader

_WORD = "RECIPIENT"


def settings(folder: Path, port: int, peer: str) -> dict[str, Any]:
    """What ``settings.py`` would say: SQLite, and SMTP on this machine."""
    return {
        "SECRET_KEY": "bench",
        "USE_TZ": True,
        "DEFAULT_AUTO_FIELD": "django.db.models.BigAutoField",
        "DATABASES": {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": folder / f"{peer}.db"}},
        "EMAIL_HOST": "127.0.0.1",
        "EMAIL_PORT": port,
        "TEMPLATES": [{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
        "LOGGING_CONFIG": None,
    }


def contents(folder: Path) -> tuple[str, str, str]:
    """Subject, HTML and text as Django templates: styles are inlined, the reader's address is left open."""
    mails = Mails(folder / "root")
    html, text = mails.bodies(_WORD, *reader(0)[1:])
    subject = mails.wording(*reader(0)[1:]).subject
    return subject, html.replace(_WORD, "{{ address }}"), text.replace(_WORD, "{{ address }}")


def rate(peer: str, folder: Path, sink: Sink, number: int) -> float:
    """Messages per second of one of the peers, from storing the first to the end of the sending command.

    Args:
        peer: The name of a module here with `configure` and `send`.
        folder: Holds ``root``, and takes the rest.
        sink: Takes the messages; fresh or not.
        number: How many recipients.

    Raises:
        Mismatch: The sink took another number of messages.
    """
    before = sink.taken()
    done = subprocess.run(
        [sys.executable, "-m", __spec__.name, peer, str(folder), str(sink.port), str(number)],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        cwd=Path(__file__).resolve().parents[2],
    )
    if done.returncode:
        raise RuntimeError(f"{peer} failed: {done.stderr[-2000:]}")
    expect(sink, before + number, 10)
    return number / float(json.loads(done.stdout.splitlines()[-1])["seconds"])


def _main() -> None:
    peer, folder, port, number = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    from django.conf import settings as django_settings  # noqa: PLC0415 - only its own process needs Django

    module = import_module(f"benchmarks.peers.{peer}")
    django_settings.configure(**module.configure(settings(folder, port, peer)))
    import django  # noqa: PLC0415 - likewise
    from django.core.management import call_command  # noqa: PLC0415 - likewise

    django.setup()
    call_command("migrate", verbosity=0)
    subject, html, text = contents(folder)
    began = time.monotonic()
    module.send(subject, html, text, [reader(one)[0] for one in range(number)])
    print(json.dumps({"seconds": time.monotonic() - began}))


if __name__ == "__main__":
    _main()
