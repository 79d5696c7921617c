"""Roots to measure with: the shipped catalogue and templates, and recipient lists of any size."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from dispatcher.files.source import MAX_BYTES

PROJECT = Path(__file__).resolve().parents[2]
LANGUAGES = ("en", "de", "fr", "ja", "es", "it", "pt", "zh-Hans", "zh-Hant")
ZONES = (
    "Europe/Berlin",
    "America/New_York",
    "Asia/Tokyo",
    "America/Sao_Paulo",
    "Australia/Sydney",
    "Europe/London",
    "Europe/Paris",
    "Europe/Madrid",
    "Europe/Helsinki",
    "America/Chicago",
    "America/Denver",
    "America/Los_Angeles",
    "America/Mexico_City",
    "America/Bogota",
    "Asia/Kolkata",
    "Asia/Shanghai",
    "Asia/Singapore",
    "Asia/Dubai",
    "Africa/Johannesburg",
    "Pacific/Auckland",
)


def lay_out(root: Path) -> Path:
    """A root without instances."""
    (root / "recipients").mkdir(parents=True)
    shutil.copyfile(PROJECT / "catalogue.yaml", root / "catalogue.yaml")
    shutil.copytree(PROJECT / "templates", root / "templates")
    return root


def crowd(root: Path, people: int, domain: str = "crowd.example") -> int:
    """So many readers in 9 languages and 20 time zones, in as few instances as files may be large.

    Each instance has one admin, who counts. Readers are spread so that each of the 180 pairs of a language
    and a zone is as frequent as any other.

    Returns:
        How many instances there are.
    """
    left, files = people, 0
    while left:
        files += 1
        lines = [f"instance: crowd-{files}", f"name: Crowd {files}", "region: emea"]
        lines += [f"admins: [admin{files}@{domain}]", "recipients:"]
        size = sum(map(len, lines)) + 200
        left -= 1
        while left:
            number = people - left
            line = (
                f"  - {{address: p{number}@{domain}, language: {LANGUAGES[number % 9]}, "
                f"time_zone: {ZONES[number % 20]}}}"
            )
            size += len(line) + 1
            if size > MAX_BYTES:
                break
            lines.append(line)
            left -= 1
        _write(root, f"crowd-{files}", lines if len(lines) > 5 else lines[:-1])
    return files


def towns(root: Path, instances: int, people: int, first: int = 0, region: str = "emea") -> None:
    """So many instances with so many readers each, all of an instance in its language and time zone."""
    for number in range(first, first + instances):
        name = f"town-{number}"
        _write(
            root,
            name,
            [
                f"instance: {name}",
                f"name: Town {number}",
                f"language: {LANGUAGES[number % 9]}",
                f"time_zone: {ZONES[number % 20]}",
                f"region: {region}",
                f"admins: [admin@{name}.example]",
                *(["recipients:"] if people > 1 else []),
                *(f"  - p{one}@{name}.example" for one in range(people - 1)),
            ],
        )


def narrowed(root: Path, files: int, addresses: int) -> None:
    """So many files with so many addresses each, half of them admins and half with a choice of their own."""
    for number in range(files):
        lines = [
            f"instance: instance-{number}",
            f"name: Instance {number}",
            f"language: {LANGUAGES[number % 9]}",
            f"time_zone: {ZONES[number % 5]}",
            "region: emea",
            'version: "9.1"',
            "admins:",
            *(f"  - admin{one}@i{number}.example" for one in range(addresses // 2)),
            "recipients:",
            *(
                f"  - {{address: ops{one}@i{number}.example, only: [maintenance, update-scheduled]}}"
                for one in range(addresses - addresses // 2)
            ),
        ]
        _write(root, f"instance-{number}", lines)


def _write(root: Path, name: str, lines: Sequence[str]) -> None:
    (root / "recipients" / f"{name}.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")
