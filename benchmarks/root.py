"""Roots to measure with: the shipped catalogue and templates, and recipient lists of any size."""

from __future__ import annotations

import shutil
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
_LANGUAGES = ("en", "de", "fr", "ja", "es", "it", "pt", "zh-Hans", "zh-Hant")
_ZONES = ("Europe/Berlin", "America/New_York", "Asia/Tokyo", "America/Sao_Paulo", "Australia/Sydney")


def lay_out(root: Path) -> Path:
    """A root without instances."""
    (root / "recipients").mkdir(parents=True)
    shutil.copyfile(PROJECT / "catalogue.yaml", root / "catalogue.yaml")
    shutil.copytree(PROJECT / "templates", root / "templates")
    return root


def one_large_instance(root: Path, people: int) -> None:
    """One instance whose notification list has so many people, in nine languages and five zones."""
    lines = ["instance: large", "name: Large", "admins: [admin@large.example]", "recipients:"]
    lines += [
        f"  - {{address: person{number}@large.example, language: {_LANGUAGES[number % 9]}, "
        f"time_zone: {_ZONES[number % 5]}}}"
        for number in range(people - 1)
    ]
    (root / "recipients" / "large.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")


def many_instances(root: Path, files: int, addresses: int) -> None:
    """So many files with so many addresses each."""
    for number in range(files):
        lines = [
            f"instance: instance-{number}",
            f"name: Instance {number}",
            f"language: {_LANGUAGES[number % 9]}",
            f"time_zone: {_ZONES[number % 5]}",
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
        file = root / "recipients" / f"instance-{number}.yaml"
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
