"""Each checker over a whole folder of files, in one process, without the network."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any, TypedDict

from mail.tools import HERE, MODULES, java, node, program

SECONDS = 540
#: Named one by one: a wildcard crashes caniemail 2.
PROGRAMS = (
    *("gmail.desktop-webmail", "gmail.ios", "gmail.android"),
    *("outlook.windows", "outlook.macos", "outlook.ios", "outlook.android", "outlook.outlook-com"),
    *("apple-mail.macos", "apple-mail.ios", "samsung-email.android"),
    *("yahoo.desktop-webmail", "yahoo.ios", "yahoo.android", "thunderbird.macos"),
)
#: What the validator says of attributes and prefixes that Outlook and Gmail still need.
NOT_WRONG_IN_MAIL = ".*(obsolete|mso-).*"
_STATUS = re.compile(
    rb"(?ms)^X-Spam-Status: \w+, score=(-?[\d.]+) .*?tests=(.*?)\s+autolearn.*?^X-File: (\S+)"
)


class Support(TypedDict):
    """The pairs of a feature and a mail program that does not support it, with and without `<style>`."""

    whole: list[list[str]]
    unstyled: list[list[str]]


class Shade(TypedDict):
    """The text that is hardest to read."""

    ratio: float
    text: str


class Look(TypedDict):
    """What a browser saw of one mail.

    `contrast` is by kind (light, dark, negative, lightness), then by part (all, body).
    """

    violations: list[dict[str, Any]]
    overflow: int
    contrast: dict[str, dict[str, Shade]]


def _run(command: Sequence[str | Path], env: Mapping[str, str] | None = None) -> bytes:
    done = subprocess.run(command, capture_output=True, timeout=SECONDS, env=env, check=False)
    if done.returncode:
        raise RuntimeError(f"{command[0]} ended with {done.returncode}: {done.stderr.decode()[-2000:]}")
    return done.stdout


def validator(folder: Path) -> dict[str, list[str]]:
    """The errors that the W3C's validator finds in each HTML file, by file name."""
    jar = MODULES / "vnu-jar" / "build" / "dist" / "vnu.jar"
    options = ["--stdout", "--format", "json", "--exit-zero-always", "--filterpattern", NOT_WRONG_IN_MAIL]
    files = sorted(folder.glob("*.html"))
    found: dict[str, list[str]] = {file.name: [] for file in files}
    for message in json.loads(_run([java(), "-jar", jar, *options, *files]))["messages"]:
        if message["type"] != "info":
            name = message.get("url", files[0].name).rpartition("/")[2]
            found[name].append(f"line {message.get('lastLine')}: {message['message']}")
    return found


def support(folder: Path) -> dict[str, Support]:
    """What the fifteen mail programs do not support of each HTML file, by file name."""
    found: dict[str, Support] = json.loads(_run([node(), HERE / "caniemail.mjs", folder, ",".join(PROGRAMS)]))
    return found


def browser(folder: Path) -> dict[str, Look]:
    """What axe-core and a look at computed styles find in each HTML file, by file name."""
    chromium = program("chromium", "chromium-browser", "google-chrome")
    found: dict[str, Look] = json.loads(_run([node(), HERE / "browser.mjs", folder, chromium]))
    return found


def parsers(folder: Path) -> dict[str, dict[str, Any]]:
    """What mailparser and postal-mime read in each message: {file: {parser: parts}}."""
    found: dict[str, dict[str, Any]] = json.loads(_run([node(), HERE / "parse.mjs", folder]))
    return found


def spamassassin(folder: Path) -> dict[str, tuple[float, str]]:
    """SpamAssassin's score of each message and the rules it hit, with its local rules alone."""
    files = sorted(folder.glob("*.eml"))
    with tempfile.TemporaryDirectory() as home:
        mbox = Path(home, "mbox")
        mbox.write_bytes(b"".join(_mbox(file) for file in files))
        # A home of its own: it keeps preferences and what it has learnt there.
        kept = {**os.environ, "HOME": home, "LC_ALL": "C"}
        command = [program("spamassassin"), "--local", "--nocreate-prefs", "--mbox", str(mbox)]
        scored = _STATUS.findall(_run(command, kept))
    found = {name.decode(): (float(n), re.sub(r"\s", "", rules.decode())) for n, rules, name in scored}
    assert found.keys() == {file.name for file in files}
    return found


def sent_now(message: bytes) -> bytes:
    """A message with the current time as its date: to those who judge spam a wrong date is a sign of it."""
    date = format_datetime(datetime.now(UTC)).encode()
    return re.sub(rb"^Date: [^\r\n]*", b"Date: " + date, message, count=1, flags=re.MULTILINE)


def _mbox(file: Path) -> bytes:
    """A message as one of many; SpamAssassin takes them in an order of its own, so each says which it is."""
    lines = sent_now(file.read_bytes()).replace(b"\r\n", b"\n").split(b"\n")
    quoted = [b">" + line if line.startswith(b"From ") else line for line in lines]
    start = f"From notices@example.com Sat Feb 20 09:00:00 2027\nX-File: {file.name}\n"
    return start.encode() + b"\n".join(quoted) + b"\n"


def read_aloud(file: Path) -> str:
    """An HTML file as w3m shows it on a terminal."""
    options = ["-dump", "-T", "text/html", "-I", "UTF-8", "-O", "UTF-8", "-cols", "78"]
    with tempfile.TemporaryDirectory() as home:
        return _run([program("w3m"), *options, file], {**os.environ, "HOME": home}).decode()
