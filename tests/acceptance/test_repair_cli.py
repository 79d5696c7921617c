"""`status`, `cancel`, `replay` and `release` as a user types them, on a ledger that is laid out by hand."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from ledger_records import FAILED, LOST, SENT, claim, expanded, lapse, new_event, people
from program import dispatcher, staying
from typer.testing import CliRunner

from dispatcher.cli import commands  # noqa: F401 - registers the commands
from dispatcher.cli.main import cli
from dispatcher.cli.status import span
from dispatcher.domain.delivery import OnUncertain
from dispatcher.errors import DispatcherError, InvalidInput
from dispatcher.ledger import Heartbeat, Ledger, Recorded

CLOSED = {"address": "mail.example:25", "circuit": "closed", "why": ""}
OPEN = {"address": "mail.example:25", "circuit": "open", "since": "2026-03-01T12:03:00Z", "why": "refused"}


@dataclass(frozen=True)
class Said:
    """What a command printed, and how it ended."""

    code: int
    out: str
    err: str
    error: BaseException | None


@dataclass(frozen=True)
class Desk:
    """A root without catalogue and templates, its ledger, and the commands in this process."""

    root: Path

    def run(self, *arguments: str) -> Said:
        """Run one command."""
        done = CliRunner().invoke(cli, ["--root", str(self.root), *arguments])
        return Said(done.exit_code, done.stdout, done.stderr, done.exception)

    def lay(self, work: Callable[[Ledger], Awaitable[str]]) -> str:
        """Prepare the ledger."""

        async def run() -> str:
            url = f"sqlite:///{self.root}/.dispatcher/dispatcher.db"
            ledger = await Ledger.open(url, clock=lambda: datetime.now(UTC))
            try:
                return await work(ledger)
            finally:
                await ledger.close()

        return asyncio.run(run())


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setenv("DISPATCHER_DATABASE_URL", "sqlite:///.dispatcher/dispatcher.db")
    (tmp_path / ".dispatcher").mkdir()
    return Desk(tmp_path)


async def beat(ledger: Ledger, relay: dict[str, str]) -> None:
    now = datetime.now(UTC)
    await ledger.workers.heartbeat(Heartbeat("w1", "host-1", 7, "0.1.0", now, now, relay))


async def three_failed(ledger: Ledger) -> str:
    """An event of which three failed and one was sent."""
    event = await expanded(ledger, people(4))
    one, *others = await claim(ledger)
    await ledger.claims.record([Recorded(one, SENT), *(Recorded(other, FAILED) for other in others)])
    return event


def test_status_says_that_nobody_works(desk: Desk) -> None:
    """Without a worker the first line says so; exit 1. Neither catalogue nor SMTP server is asked for."""
    desk.lay(three_failed)
    done = desk.run("status")
    told = desk.run("status", "--json")

    assert done.code == told.code == 1
    first = done.out.splitlines()[0]
    assert (
        first
        == "No worker is alive; nothing waits yet. Start one, with DISPATCHER_SMTP_URL set: dispatcher up."
    )
    assert "dispatcher deliveries --status failed" in done.out
    assert json.loads(told.out)["trouble"] == {"failed": 3}
    assert json.loads(told.out)["problems"] == [first]


def test_status_names_the_server_that_takes_nothing(desk: Desk) -> None:
    """An open circuit is the first line, with address, time and cause; the worker is listed with it."""

    async def work(ledger: Ledger) -> str:
        await beat(ledger, OPEN)
        return await expanded(ledger, people(2))

    desk.lay(work)
    done = desk.run("status")

    assert done.code == 1
    assert done.out.startswith(
        "The SMTP server mail.example:25 takes nothing since 2026-03-01 12:03Z: refused."
    )
    assert "mail.example:25, circuit open" in done.out
    assert "host-1" in done.out


def test_cancel_says_what_was_too_late(desk: Desk) -> None:
    """What was stopped, what had been sent; a second time it says that it was cancelled before."""

    async def work(ledger: Ledger) -> str:
        event = await expanded(ledger, people(5))
        one, two = await claim(ledger, 2)
        await ledger.claims.record([Recorded(one, SENT), Recorded(two, FAILED)])
        return event

    event = desk.lay(work)
    done = desk.run("cancel", "CHG-1")
    again = desk.run("cancel", event)
    told = desk.run("cancel", event, "--json")
    unknown = desk.run("cancel", "CHG-9")

    assert done.code == again.code == 0
    assert done.out == f"Cancelled {event}: 3 will not be sent; 1 had been sent, 1 had failed.\n"
    assert again.out.startswith(f"{event} was cancelled before, at 20")
    assert "3 will not be sent" in again.out
    assert json.loads(told.out) == {"event": event, "cancelled": 3, "sent": 1, "sending": 0}
    assert isinstance(unknown.error, DispatcherError)
    assert "was cancelled at 20" in desk.run("explain", event).out
    assert json.loads(desk.run("events", event, "--json").out)["cancelled_at"] is not None


def test_cancel_before_anybody_was_mailed(desk: Desk) -> None:
    """An event that nobody expanded mails nobody."""

    async def work(ledger: Ledger) -> str:
        (added,) = await ledger.events.add([new_event()])
        return added.id

    event = desk.lay(work)
    done = desk.run("cancel", event)

    assert done.out == f"Cancelled {event}: nothing was sent, and nothing will be.\n"


def test_replay_shows_and_does(desk: Desk) -> None:
    """A dry run lists each delivery with its last reply and changes nothing; then they are due."""
    event = desk.lay(three_failed)
    dry = desk.run("replay", "--event", event, "--dry-run")
    failed = json.loads(desk.run("deliveries", "--status", "failed", "--json").out)
    table = desk.run("deliveries", "--status", "failed").out
    hint = desk.run("explain", event)
    one = desk.run("replay", "--delivery", failed[0]["id"], "--json")
    rest = desk.run("replay", "--since", "1h")
    nothing = desk.run("replay", "--since", "1h")

    assert dry.code == rest.code == nothing.code == 0
    assert "550 5.1.1 No such user" in dry.out
    assert failed[0]["id"] in dry.out
    assert failed[0]["id"] in table
    assert dry.out.endswith("Nothing was changed. Without --dry-run: 3 deliveries replayed, due now.\n")
    assert len(failed) == 3
    assert f"`dispatcher replay --delivery {failed[0]['id']}` has it tried again" in hint.out
    assert json.loads(one.out)["deliveries"] == 1
    assert rest.out == "2 deliveries replayed, due now.\n"
    assert nothing.out.startswith("There is nothing to do")
    assert "waits: a person had it tried again after it had failed" in desk.run("explain", event).out


def test_release_warns_of_second_copies_and_poison(desk: Desk) -> None:
    """Whoever lets go of a held delivery is told what that may bring."""

    async def work(ledger: Ledger) -> str:
        event = await expanded(ledger, people(2), on_uncertain=OnUncertain.HOLD)
        await ledger.claims.record([Recorded(one, LOST) for one in await claim(ledger)])
        await expanded(ledger, people(1), new_event("CHG-2"))
        for _ in range(3):
            await claim(ledger)
            await lapse(ledger)
        return event

    event = desk.lay(work)
    held = json.loads(desk.run("deliveries", "--status", "held", "--json").out)
    story = desk.run("explain", "CHG-2").out
    refused = desk.run("replay", "--delivery", held[0]["id"])
    named = desk.run("release", held[-1]["id"])
    rest = desk.run("release", "--all")

    assert len(held) == 3
    assert "three workers in a row ended while sending it" in story
    assert isinstance(refused.error, InvalidInput)
    assert "dispatcher release" in str(refused.error)
    assert named.out == "1 delivery released, due now.\n"
    assert "1 of these may arrive as a second copy, with the same Message-ID" in named.err
    assert rest.out == "2 deliveries released, due now.\n"
    assert "1 of these was held as poison: three workers in a row ended while sending it." in rest.err
    assert event in desk.run("events").out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["replay"], ["--event, --delivery, --since", "are missing", "Give at least one of the three"]),
        (["replay", "--since", "yesterday"], ["--since", "'yesterday'", "2h or 3d"]),
        (["replay", "--since", "2999-01-01"], ["--since", "lies in the future"]),
        (["replay", "--event", "CHG-9"], ["CHG-9"]),
        (["replay", "--delivery", "dlv_none"], ["dlv_none", "`dispatcher deliveries`"]),
        (["release"], ["DELIVERY, --event, --all", "are missing"]),
        (["release", "dlv_1", "--all"], ["are given together"]),
        (["release", "dlv_none"], ["dlv_none"]),
    ],
)
def test_wrong_repairs_are_refused(desk: Desk, arguments: list[str], words: list[str]) -> None:
    """What cannot be done says what is wrong and what would be right."""
    desk.lay(three_failed)
    done = desk.run(*arguments)

    assert isinstance(done.error, DispatcherError)
    assert not done.out
    assert all(word in str(done.error) for word in words), str(done.error)


@pytest.mark.parametrize("command", ["status", "cancel", "replay", "release"])
def test_every_repair_has_help_with_an_example(desk: Desk, command: str) -> None:
    """`--help` shows how the command is typed."""
    done = desk.run(command, "--help")

    assert done.code == 0
    assert f"Example: dispatcher {command}" in done.out


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, ""), (0, "0 s"), (59, "59 s"), (61, "1 min 1 s"), (7500, "2 h 5 min"), (90_000, "1 d 1 h")],
)
def test_a_length_of_time_is_told_in_two_units(seconds: int | None, words: str) -> None:
    """Nobody counts the seconds of days."""
    assert span(seconds) == words


def test_a_root_that_is_up_is_well(root: Path, tmp_path: Path) -> None:
    """With everything running, `status` says so in its first line and ends with 0."""
    variables = {"DISPATCHER_STATE_DIR": str(tmp_path)}
    with staying(root, "up", "--port", "0", until=r"Listening on (\S+)", **variables):
        ends = time.monotonic() + 60
        # It listens before its worker's first sign of life is in the ledger.
        while (done := dispatcher(root, "status", **variables)).code and time.monotonic() < ends:
            assert done.out.startswith("No worker is alive"), done.out

    assert (done.code, done.out.splitlines()[0]) == (0, "All is well."), done.out
    assert "Redis: answers" in done.out


def test_waiting_says_that_the_server_takes_nothing(root: Path, tmp_path: Path) -> None:
    """`send --wait` names the SMTP server that is down, once, and ends with 4; the mail stays queued."""
    variables = {"DISPATCHER_SMTP_URL": "smtp://127.0.0.1:1", "DISPATCHER_STATE_DIR": str(tmp_path)}
    with staying(root, "worker", until="Working", **variables):
        arguments = ("--instance", "bare", "--sample", "--wait", "--json")
        sent = dispatcher(root, "send", "planned-maintenance", *arguments, **variables)
        state = dispatcher(root, "status", **variables)
    [row] = json.loads(dispatcher(root, "deliveries", "--json", **variables).out)

    assert (row["status"], row["reason"], row["attempts"]) == ("queued", "relay_unreachable", [])
    assert row["next_try_at"] is not None
    assert sent.code == 4, sent.err
    assert sent.err.count("waiting a little") == 1
    assert "The SMTP server 127.0.0.1:1 takes nothing since" in sent.err
    assert "1 delivery waits and goes out once it does" in sent.err
    assert state.code == 1
    assert "The SMTP server 127.0.0.1:1 takes nothing since" in state.out.splitlines()[0]


def test_a_ledger_that_is_not_there_is_no_empty_one(root: Path, tmp_path: Path) -> None:
    """Asked in the wrong folder, a command says so instead of making a ledger in which nothing waits."""
    state = tmp_path / "elsewhere"
    done = dispatcher(root, "status", DISPATCHER_STATE_DIR=str(state))

    assert done.code == 4
    assert f"There is no ledger at {state}" in done.err
    assert "Check --root" in done.err
    assert not state.exists()
