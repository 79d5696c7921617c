"""Every command, in the order in which `dispatcher --help` lists them."""

from __future__ import annotations

from dispatcher.cli import (  # noqa: F401 - each registers its commands
    check,
    diff,
    gallery,
    inspect,
    links,
    locales,
    obligations,
    plan,
    policy,
    preview,
    render,
    repair,
    run,
    send,
    simulate,
    start,
    status,
    suppressions,
    timeline,
    token,
    webhooks,
    who,
)
