"""The settings of the webhook, which belong together."""

from __future__ import annotations

from pathlib import Path

import pytest

from dispatcher.environment import load
from dispatcher.errors import SettingsInvalid

SECRET = "whsec_" + "c2Vj" * 8


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://up.example.com/hooks/4f1d?key=hunter2", "https://up.example.com/****"),
        ("https://up.example.com:8443", "https://up.example.com:8443"),
        ("http://localhost:9/hooks", "http://localhost:9/****"),
        ("http://127.8.7.6/", "http://127.8.7.6/"),
        ("http://[::1]:9/hooks", "http://[::1]:9/****"),
    ],
)
def test_an_endpoint_is_https_or_on_this_machine(tmp_path: Path, url: str, shown: str) -> None:
    """It is read as it is written, and what may be its secret is not shown."""
    found = load(tmp_path, {"DISPATCHER_WEBHOOK_URL": url, "DISPATCHER_WEBHOOK_SECRET": SECRET})

    assert found.webhook_url is not None
    assert found.webhook_url.reveal() == url
    assert found.shown["DISPATCHER_WEBHOOK_URL"] == shown
    assert "4f1d" not in f"{found!r}{found.shown}"
    assert SECRET not in f"{found!r}{found.shown}"


def test_an_endpoint_needs_a_secret(tmp_path: Path) -> None:
    """Without one nothing could be believed there; the refusal says how to make one."""
    with pytest.raises(SettingsInvalid, match=r"DISPATCHER_WEBHOOK_SECRET: is missing.*openssl rand"):
        load(tmp_path, {"DISPATCHER_WEBHOOK_URL": "https://up.example.com"})


def test_a_secret_that_is_wrong_is_told_once(tmp_path: Path) -> None:
    """It is not said to be missing as well."""
    variables = {"DISPATCHER_WEBHOOK_URL": "https://up.example.com", "DISPATCHER_WEBHOOK_SECRET": "whsec_x"}
    with pytest.raises(SettingsInvalid) as caught:
        load(tmp_path, variables)

    assert [problem.where for problem in caught.value.problems] == ["DISPATCHER_WEBHOOK_SECRET"]
    assert "openssl rand -base64 32" in str(caught.value)
