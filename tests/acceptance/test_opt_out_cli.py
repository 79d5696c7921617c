"""Opting out as people meet it: a mail that arrives, its one click, and the commands that tell of it."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path

import httpx
import pytest
from in_process import Commands
from program import dispatcher, staying

from dispatcher.cli import commands  # noqa: F401 - registers the commands
from dispatcher.ledger import Ledger
from dispatcher.smtp.catcher import caught

NEWS, WORK = "general-awareness", "planned-maintenance"
ADMIN = "admin@contoso.example"
URL = "https://notices.fabrikam.example"


def test_from_the_mail_to_the_mail_that_does_not_come(root: Path, tmp_path: Path) -> None:
    """One click on a mail that arrived stops the next of its type, and no mail that is mandatory."""
    variables = {"DISPATCHER_STATE_DIR": str(tmp_path), "DISPATCHER_PUBLIC_URL": URL}

    def send(type_: str, name: str) -> dict[str, EmailMessage]:
        arguments = (type_, "--instance", "contoso-prod", "--sample", "--id", name, "--wait")
        done = dispatcher(root, "send", *arguments, **variables)
        assert done.code == 0, done.err
        mails = caught(tmp_path / "mail")
        found = {one.envelope_to[0]: one.message for one in mails}
        for one in mails:
            one.path.unlink()
        return found

    with staying(root, "up", "--port", "0", until=r"Listening on (\S+)", **variables) as said:
        first = send(NEWS, "1")[ADMIN]
        assert first["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        path = str(first["List-Unsubscribe"]).strip("<>").removeprefix(URL)
        answer = httpx.post(f"{said[1]}{path}", data={"List-Unsubscribe": "One-Click"}, timeout=20)
        second, third = send(NEWS, "2"), send(WORK, "3")

    assert answer.status_code == 200
    assert ADMIN not in second
    assert second
    assert ADMIN in third
    told = dispatcher(root, "explain", "2", **variables).out
    assert re.search(rf"To {ADMIN} about contoso-prod: suppressed", told)
    assert "suppressed: its reader had opted out" in told


class Desk(Commands):
    """A root, and commands in this process."""

    def __init__(self, root: Path, url: str) -> None:
        super().__init__(root)
        self.url = url

    def lay(self, work: Callable[[Ledger], Awaitable[object]]) -> None:
        """Prepare the ledger."""

        async def run() -> None:
            ledger = await Ledger.open(self.url, clock=lambda: datetime(2027, 3, 6, 21, tzinfo=UTC))
            try:
                await work(ledger)
            finally:
                await ledger.close()

        asyncio.run(run())


@pytest.fixture
def desk(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    url = f"sqlite:///{tmp_path}/ledger.db"
    monkeypatch.setenv("DISPATCHER_DATABASE_URL", url)
    monkeypatch.setenv("DISPATCHER_STATE_DIR", str(tmp_path))
    return Desk(root, url)


class TestSuppressions:
    def test_lists_adds_and_lifts(self, desk: Desk) -> None:
        """An operator opts somebody out and back in; each step is listed, and doing it again is told."""
        assert desk.run("suppressions", "add", ADMIN, NEWS)[0] == 0
        code, _, said = desk.run("suppressions", "add", ADMIN.upper().replace("EXAMPLE", "example"), NEWS)
        assert (code, "nothing was changed" in said) == (0, True)
        code, out, _ = desk.run("suppressions", "--address", ADMIN, "--json")
        [listed] = json.loads(out)
        assert code == 0
        assert (listed["address"], listed["type"], listed["origin"]) == (ADMIN, NEWS, "operator")
        assert listed["lifted_at"] is None

        assert desk.run("suppressions", "lift", ADMIN, NEWS)[0] == 0
        code, _, said = desk.run("suppressions", "lift", ADMIN)
        assert (code, "has not opted out" in said) == (2, True)
        code, _, said = desk.run("suppressions", "lift", ADMIN, f"{NEWS}s")
        assert (code, f"Did you mean {NEWS}?" in said) == (2, True)
        assert ADMIN in desk.run("suppressions", "list", "--type", NEWS)[1]
        assert "no such opt-outs" in desk.run("suppressions", "--address", "x@y.example")[2]

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            ((ADMIN, WORK), f"nobody can opt out of {WORK}. The optional types are general-awareness"),
            ((ADMIN, "general-awarenes"), "Did you mean general-awareness"),
            (("nobody", NEWS), "is not of the form name@example.com"),
        ],
    )
    def test_refuses_what_cannot_be(self, desk: Desk, arguments: tuple[str, str], words: str) -> None:
        """A type that is mandatory or unknown, or no address, is refused with what to do; exit 2."""
        code, _, said = desk.run("suppressions", "add", *arguments)

        assert code == 2
        assert words in said


class TestLinks:
    def test_a_new_key_signs_and_the_old_one_stays(self, desk: Desk) -> None:
        """It says which key signs from now on; the ledger keeps the older ones, for links of older mails."""
        keys: list[str] = []

        async def look(ledger: Ledger) -> None:
            keys.append((await ledger.link_keys.newest()).id)
            assert len(await ledger.link_keys.all()) == len(keys)

        desk.lay(look)
        code, _, said = desk.run("links", "rotate")
        desk.lay(look)

        assert code == 0
        assert "Key 2 signs the links of mails from now on. Links of older mails go on working." in said
        assert keys == ["1", "2"]

    def test_without_a_ledger_there_is_nothing_to_change(self, desk: Desk) -> None:
        """No ledger is made for it."""
        code, _, said = desk.run("links", "rotate")

        assert code == 2
        assert said


class TestWho:
    def test_leaves_out_who_opted_out(self, desk: Desk) -> None:
        """They are not in the list, and why is said beside it; the JSON has those who get it."""
        desk.lay(lambda ledger: ledger.suppressions.add(ADMIN, [NEWS], "one-click"))
        code, out, said = desk.run("who", NEWS, "--instance", "contoso-prod")

        assert code == 0
        assert ADMIN not in out
        assert f"{ADMIN} is left out: opted out of {NEWS} on 2027-03-06 by the one click" in said
        listed = json.loads(desk.run("who", NEWS, "--instance", "contoso-prod", "--json")[1])
        assert ADMIN not in {one["address"] for one in listed}

    def test_says_why_somebody_does_not_get_it(self, desk: Desk) -> None:
        """`--not` names the day, how it came, and what undoes it."""
        desk.lay(lambda ledger: ledger.suppressions.add(ADMIN, [NEWS], "page"))
        _, out, _ = desk.run("who", NEWS, "--instance", "contoso-prod", "--not", ADMIN)

        assert "opted out of general-awareness on 2027-03-06 by the page" in out
        assert f"dispatcher suppressions lift {ADMIN} {NEWS}" in out

    def test_an_opt_out_means_nothing_to_other_types(self, desk: Desk) -> None:
        """Mandatory mail comes all the same."""
        desk.lay(lambda ledger: ledger.suppressions.add(ADMIN, [NEWS, WORK], "page"))

        assert ADMIN in desk.run("who", WORK, "--instance", "contoso-prod")[1]

    def test_needs_no_ledger(self, desk: Desk) -> None:
        """Where there is none yet, it answers from the lists alone, and makes none."""
        code, out, said = desk.run("who", NEWS, "--instance", "contoso-prod")

        assert (code, said) == (0, "")
        assert ADMIN in out
        assert not Path(desk.url.removeprefix("sqlite:///")).exists()


class TestSetting:
    def test_is_shown(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        """`config` has it, without the slash at its end."""
        monkeypatch.setenv("DISPATCHER_PUBLIC_URL", f"{URL}/mail/")

        assert "https://notices.fabrikam.example/mail" in desk.run("config")[1]

    def test_without_it_check_warns(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        """A root with optional types is all right without it, and is told what that means."""
        code, _, said = desk.run("check")
        assert "DISPATCHER_PUBLIC_URL: is not set" in said
        monkeypatch.setenv("DISPATCHER_PUBLIC_URL", URL)
        same, _, said = desk.run("check")

        assert "DISPATCHER_PUBLIC_URL" not in said
        assert code == same
