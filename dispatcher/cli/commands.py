"""Every command, in the order in which `dispatcher --help` lists them."""

from __future__ import annotations

from dispatcher.cli import (  # noqa: F401 - each registers its commands
    check,
    gallery,
    inspect,
    links,
    locales,
    preview,
    render,
    repair,
    run,
    send,
    start,
    status,
    suppressions,
    token,
    who,
)
