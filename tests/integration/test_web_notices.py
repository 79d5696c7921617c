"""Notices over HTTP: what a caller may ask for."""

from __future__ import annotations

from pathlib import Path

import pytest
from web_service import service

NOTICES = "/v1/instances/contoso-prod/notices"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (NOTICES, 200),
        (f"{NOTICES}?limit=200&before=9223372036854775807&language=zh-Hant", 200),
        (f"{NOTICES}?before=9223372036854775808", 400),
        (f"{NOTICES}?before=99999999999999999999999", 400),
        (f"{NOTICES}?before=0", 400),
        (f"{NOTICES}?limit=201", 400),
        (f"{NOTICES}?language=xx", 400),
        ("/v1/instances/contoso-prod/alerts", 200),
        ("/v1/instances/nobody/notices", 404),
        ("/v1/instances/nobody/alerts", 404),
    ],
)
async def test_what_can_be_asked(tmp_path: Path, path: str, status: int) -> None:
    """What cannot be is refused with the reason, however large a number it is."""
    async with service(tmp_path) as api:
        answer = await api.http.get(path)

    assert answer.status_code == status, answer.text
    if status == 200:
        assert set(answer.json()) <= {"notices", "next", "alerts"}
    else:
        assert answer.json()["detail"]
