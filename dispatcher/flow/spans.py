"""Moments and numbers in the words of a report to operators."""

from __future__ import annotations

from datetime import datetime


def since(moment: datetime, now: datetime) -> str:
    """A moment as a sentence names it: ``12:03Z`` on the same day, else with its date."""
    return f"{moment:%H:%M}Z" if moment.date() == now.date() else f"{moment:%Y-%m-%d %H:%M}Z"


def number(count: int, noun: str, plural: str = "") -> str:
    """``1 delivery``, ``1,200 deliveries``."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"
