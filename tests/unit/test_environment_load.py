from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import pytest
from domain_examples import steady
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.engine import make_url

from dispatcher.environment import load
from dispatcher.errors import SettingsInvalid
from dispatcher.settings import DomainLimit, RelayAddress, Secret, Settings, TokenEntry
from dispatcher.variables import VARIABLES, masked

HASH = "0123456789abcdef" * 4
ROOT = Path("/srv/dispatcher")  # need not exist: nothing is read but an .env that may be there


def settings(**variables: str) -> Settings:
    """The settings with these variables, named without their prefix."""
    return load(ROOT, {f"DISPATCHER_{name}": text for name, text in variables.items()})


def refusal(**variables: str) -> str:
    with pytest.raises(SettingsInvalid) as refused:
        settings(**variables)
    return str(refused.value)


def dotenv(folder: Path, text: str | bytes) -> Path:
    path = folder / ".env"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_nothing_needs_to_be_set(tmp_path: Path) -> None:
    """Without any variable everything lies in the folder one stands in."""
    found = load(environ={}, cwd=tmp_path)

    assert (found.root, found.state_dir) == (tmp_path, tmp_path / ".dispatcher")
    assert found.database_url.reveal() == f"sqlite:///{tmp_path}/.dispatcher/ledger.db"
    assert (found.redis_url, found.smtp, found.api_tokens) == (None, None, ())
    assert (found.lease_seconds, found.smtp_connections, found.log_level) == (30, 8, "warning")
    assert set(found.sources) == set(found.shown) == {f"DISPATCHER_{variable.name}" for variable in VARIABLES}
    assert set(found.sources.values()) == {"default"}


EACH: dict[str, tuple[str, Callable[[Settings], Any], Any, str]] = {
    "STATE_DIR": ("state", lambda s: s.state_dir.name, "state", "…/state"),
    "DATABASE_URL": (
        "postgres://me:hunter2@db/ledger", lambda s: s.database_url.reveal(), "postgresql://me:hunter2@db/ledger",
        "postgresql://me:****@db/ledger",
    ),
    "REDIS_URL": (
        "redis://:hunter2@redis/0", lambda s: s.redis_url and s.redis_url.reveal(), "redis://:hunter2@redis/0",
        "redis://:****@redis/0",
    ),
    "SMTP_URL": (
        "smtp://me:hunter2@mail.example.com", lambda s: s.smtp,
        RelayAddress("mail.example.com", 587, "me", Secret("hunter2"), "starttls"),
        "smtp://me:****@mail.example.com",
    ),
    "API_TOKENS": (
        f"ci:send+read:{HASH.upper()}, ops:admin:{HASH}", lambda s: s.api_tokens,
        (TokenEntry("ci", frozenset({"send", "read"}), HASH), TokenEntry("ops", frozenset({"admin"}), HASH)),
        "ci:send+read:****,ops:admin:****",
    ),
    "PUBLIC_URL": (
        "https://mail.example.com:8443/a/b-c/", lambda s: s.public_url, "https://mail.example.com:8443/a/b-c",
        "https://mail.example.com:8443/a/b-c/",
    ),
    "WEBHOOK_SECRET": (
        f"whsec_{'hunter2/' * 4} whsec_{'hunter2+' * 8}",
        lambda s: [one.reveal() for one in s.webhook_secrets],
        [f"whsec_{'hunter2/' * 4}", f"whsec_{'hunter2+' * 8}"], "****",
    ),
    "LEASE_SECONDS": ("60", lambda s: s.lease_seconds, 60, "60"),
    "GRACE_SECONDS": ("1", lambda s: s.grace_seconds, 1, "1"),
    "SMTP_CONNECTIONS": ("100", lambda s: s.smtp_connections, 100, "100"),
    "SMTP_DOMAINS": (
        "gmail.com=5 20/m, *=10", lambda s: s.smtp_domains,
        {"gmail.com": DomainLimit(5, 20, 60), "*": DomainLimit(10)}, "gmail.com=5 20/m, *=10",
    ),
    "LOG_LEVEL": ("INFO", lambda s: s.log_level, "info", "INFO"),
}  # fmt: skip


@pytest.mark.parametrize("name", EACH)
def test_each_variable_is_read_from_the_environment_before_the_file(tmp_path: Path, name: str) -> None:
    """The environment wins over .env, .env over the default, and each says so; secrets are masked."""
    text, get, value, shown = EACH[name]
    variable = f"DISPATCHER_{name}"
    alone = load(tmp_path, {variable: text})
    path = dotenv(tmp_path, f"{variable}='{text}'\n")
    from_file = load(tmp_path, {})
    empty = load(tmp_path, {variable: ""})
    path.write_text(f"{variable}='nonsense://'\n" if name != "STATE_DIR" else f"{variable}=other\n")
    before_file = load(tmp_path, {variable: text})

    for found, source in (
        (alone, "environment"), (from_file, str(path)), (empty, str(path)), (before_file, "environment"),
    ):  # fmt: skip
        assert get(found) == value
        assert found.sources[variable] == source
        assert found.shown[variable] == shown.replace("…", str(tmp_path))
        assert "hunter2" not in f"{found!r}{found.shown}"
        assert HASH not in f"{found!r}{found.shown}".lower()


def test_the_table_covers_every_variable() -> None:
    """None is left out above but the root, which is read first, and one that needs another beside it."""
    assert {variable.name for variable in VARIABLES} == {*EACH, "ROOT", "WEBHOOK_URL"}


def test_the_root_comes_from_the_command_line_first(tmp_path: Path) -> None:
    """Command line, environment, the folder one stands in; never from .env, which lies in the root."""
    dotenv(tmp_path, "DISPATCHER_ROOT=/elsewhere\nDISPATCHER_LOG_LEVEL=debug\n")
    named = {"DISPATCHER_ROOT": str(tmp_path)}
    found = [
        load(Path("sub"), named, tmp_path),
        load(None, {"DISPATCHER_ROOT": "sub"}, tmp_path),
        load(None, named),
        load(None, {}, tmp_path),
        load(None, {"DISPATCHER_ROOT": ""}, tmp_path),
    ]

    assert [each.root for each in found] == [tmp_path / "sub"] * 2 + [tmp_path] * 3
    assert [each.sources["DISPATCHER_ROOT"] for each in found] == [
        "command line", "environment", "environment", "default", "default",
    ]  # fmt: skip
    assert [each.log_level for each in found] == ["warning"] * 2 + ["debug"] * 3
    assert {each.shown["DISPATCHER_ROOT"] for each in found} == {str(tmp_path), str(tmp_path / "sub")}


def test_the_process_s_own_environment_is_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without arguments the process's environment and folder are read."""
    for name in [name for name in os.environ if name.startswith("DISPATCHER_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DISPATCHER_LEASE_SECONDS", "45")
    monkeypatch.chdir(tmp_path)

    assert (load().root, load().lease_seconds) == (tmp_path, 45)


def test_a_dotenv_means_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mark at its start and Windows line ends do no harm, and a dollar in a password refers to nothing."""
    monkeypatch.setenv("x", "expanded")
    dotenv(
        tmp_path, b"\xef\xbb\xbfDISPATCHER_SMTP_URL=smtp://me:hun$x${x}@mail\r\nDISPATCHER_LOG_LEVEL=info\r\n"
    )
    found = load(tmp_path, {})

    assert found.smtp is not None
    assert found.smtp.password is not None
    assert found.smtp.password.reveal() == "hun$x${x}"
    assert found.log_level == "info"


def test_a_dotenv_that_is_no_text_is_refused(tmp_path: Path) -> None:
    """The refusal names the file and not its content."""
    path = dotenv(tmp_path, b"DISPATCHER_SMTP_URL=smtp://me:hunter2\xff@mail\n")
    with pytest.raises(SettingsInvalid) as refused:
        load(tmp_path, {})

    assert str(refused.value) == f"{path}: is not UTF-8. Save the file as UTF-8."


def test_a_folder_called_dotenv_is_not_read(tmp_path: Path) -> None:
    """Only a file is taken for settings."""
    (tmp_path / ".env").mkdir()

    assert load(tmp_path, {}).log_level == "warning"


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("sqlite:///x.db", "/srv/dispatcher/x.db"),
        ("sqlite:///a/../x.db", "/srv/dispatcher/a/../x.db"),
        ("sqlite:////var/x.db", "/var/x.db"),
        ("sqlite:////var/a%20b%25c%3F%23.db", "/var/a b%c?#.db"),
        ("SQLite:////var/x.db", "/var/x.db"),
    ],
)
def test_an_sqlite_file_is_the_one_that_was_named(text: str, path: str) -> None:
    """A relative path starts at the root; whoever opens the URL finds the very name."""
    assert make_url(settings(DATABASE_URL=text).database_url.reveal()).database == path


@pytest.mark.parametrize("name", ["plain", "with blank", "50%25", "what?", "a#b", "ü", "a@b:c"])
def test_the_ledger_lies_in_the_state_folder_whatever_its_name(tmp_path: Path, name: str) -> None:
    """No character of a folder's name leads the ledger astray."""
    found = load(tmp_path, {"DISPATCHER_STATE_DIR": name})

    assert found.state_dir == tmp_path / name
    assert make_url(found.database_url.reveal()).database == f"{tmp_path}/{name}/ledger.db"


def test_a_home_folder_may_be_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """``~`` is the home folder, in the root as in the state folder."""
    monkeypatch.setenv("HOME", "/home/ann")
    found = load(None, {"DISPATCHER_ROOT": "~/cloud", "DISPATCHER_STATE_DIR": "~/state"})

    assert (found.root, found.state_dir) == (Path("/home/ann/cloud"), Path("/home/ann/state"))


RELAYS = (
    ("smtp://mail", RelayAddress("mail", 25)),
    ("smtp://mail/", RelayAddress("mail", 25)),
    ("smtp://Mail.Example.COM:2525", RelayAddress("mail.example.com", 2525)),
    ("smtp://me:pw@mail", RelayAddress("mail", 587, "me", Secret("pw"), "starttls")),
    ("smtp://me:pw@mail:25", RelayAddress("mail", 25, "me", Secret("pw"), "starttls")),
    ("smtps://mail", RelayAddress("mail", 465, tls="implicit")),
    ("smtps://me:pw@mail:4650", RelayAddress("mail", 4650, "me", Secret("pw"), "implicit")),
    ("smtp://[::1]", RelayAddress("::1", 25)),
    ("smtps://me:pw@[2001:db8::1]:4650", RelayAddress("2001:db8::1", 4650, "me", Secret("pw"), "implicit")),
    ("smtp://me%40x:p%2Fw%3A%40%25@mail", RelayAddress("mail", 587, "me@x", Secret("p/w:@%"), "starttls")),
    ("smtp://me@x:p@w@mail", RelayAddress("mail", 587, "me@x", Secret("p@w"), "starttls")),
    ("smtp://%C3%BC:%E6%BC%A2+@mail", RelayAddress("mail", 587, "ü", Secret("漢+"), "starttls")),
)  # fmt: skip


@pytest.mark.parametrize(("url", "relay"), RELAYS)
def test_a_relay_is_read_from_its_url(url: str, relay: RelayAddress) -> None:
    """Percent-encoding is undone, the port follows from the kind of TLS, with credentials TLS is a must."""
    found = settings(SMTP_URL=url).smtp

    assert found == relay
    assert relay.username is None or relay.tls != "opportunistic"


@steady
@given(
    st.text(
        st.characters(min_codepoint=32, exclude_characters="\x7f", codec="utf-8"), min_size=1, max_size=30
    )
)
def test_any_password_can_be_written(password: str) -> None:
    """Percent-encoded, every password arrives as it is and is shown nowhere."""
    found = settings(SMTP_URL=f"smtp://me:{quote(password, safe='')}@mail")

    assert found.smtp is not None
    assert found.smtp.password is not None
    assert found.smtp.password.reveal() == password
    assert found.shown["DISPATCHER_SMTP_URL"] == "smtp://me:****@mail"


ALLOWED = {
    "DATABASE_URL": "sqlite:///relative.db, sqlite:////absolute.db or postgresql://user:password@host:5432/name",
    "REDIS_URL": "redis://host:6379/0, rediss://… or unix:///path; none for the embedded one",
    "SMTP_URL": "smtp://user:password@host:587 or smtps://user:password@host:465",
    "API_TOKENS": "name:scope+scope:sha256, several parted by commas; scopes send, read, admin",
    "PUBLIC_URL": "https://host or https://host/path, where readers of mail reach the HTTP interface",
    "WEBHOOK_URL": "https://host/path, or http:// on this machine, which is told of what admins decide",
    "WEBHOOK_SECRET": "whsec_ and the base64 of 24 to 64 bytes (`openssl rand -base64 32` makes them); "
    "several parted by blanks while one takes another's place",
    "LEASE_SECONDS": "a whole number from 5 to 3600",
    "GRACE_SECONDS": "a whole number from 1 to 3600",
    "SMTP_CONNECTIONS": "a whole number from 1 to 100",
    "LOG_LEVEL": "debug, info, warning or error",
    "STATE_DIR": "a folder for the ledger and other state, taken from the root",
}
SCHEME = "the scheme is neither sqlite nor postgresql"
SLASHES = "an SQLite address has three slashes and a path"
NAME = "it does not end in /name; in a password / is %2F, ? is %3F, # is %23 and @ is %40"
MISSING = "the server is missing"
TO_HTTPS = "the scheme is not https, which is needed but to this machine itself"
WHSEC = "one is not whsec_ and the base64 of 24 to 64 bytes"
NUMBER = "after the server comes the number of a database, if anything"
SHAPE = "it is not of the form scheme://user:password@host:port"
PAIR = "a user name and a password belong together"
ENTRY = "an entry is not of the form name:scope+scope:sha256"
SERVER = "what stands for its server and port is none; in a password / ? # @ [ ] are percent-encoded"
BLANK = "it holds a blank or a control character"
MAIL = "the scheme is neither smtp nor smtps"
CONTROL = "it holds a control character, percent-encoded"
HTTPS = "mail programs open https links only"
PLAIN = "after the host comes a plain path, if anything"
#: A variable, what is written there, what is shown of it, and what is wrong with it.
REFUSED = (
    ("DATABASE_URL", "ledger.db", "****", SCHEME),
    ("DATABASE_URL", "sqlite://x.db", "sqlite://x.db", SLASHES),
    ("DATABASE_URL", "sqlite:///", "sqlite:///", SLASHES),
    ("DATABASE_URL", "sqlite:///:memory:", "sqlite:///:memory:",
     "the ledger must outlive the process, so it needs a file"),
    ("DATABASE_URL", "sqlite:///x?mode=ro", "sqlite:///x?mode=ro",
     "in the name of a file ? is written %3F and # is written %23"),
    ("DATABASE_URL", "sqlite:///a%00", "sqlite:///a%00", CONTROL),
    ("DATABASE_URL", "mysql://me:hunter2@db/x", "mysql://me:****@db/x", SCHEME),
    ("DATABASE_URL", "postgresql://me:hunter2@db", "postgresql://me:****@db", NAME),
    ("DATABASE_URL", "postgresql://me:hun@ter/2@db/x", "postgresql://****", NAME),
    ("DATABASE_URL", "postgresql://me:hun/ter2@db/x", "postgresql://****", SERVER),
    ("DATABASE_URL", "postgresql://me:hunter2@db:99999/x", "postgresql://me:****@db:99999/x", SERVER),
    ("REDIS_URL", "localhost", "****", "the scheme is none of redis, rediss, unix"),
    ("REDIS_URL", "redis://", "redis://", MISSING),
    ("REDIS_URL", "redis://:hunter2@", "redis://:****@", MISSING),
    ("REDIS_URL", "unix://run.sock", "unix://run.sock", MISSING),
    ("REDIS_URL", "redis://h/first", "redis://h/first", NUMBER),
    ("REDIS_URL", "redis://:hun#ter2@h", "redis://****", SERVER),
    ("REDIS_URL", "redis://me:1#hunter2@h", "redis://****", NUMBER),
    ("SMTP_URL", "mail.example.com:25", "****", MAIL),
    ("SMTP_URL", "me:hunter2@mail", "****", MAIL),
    ("SMTP_URL", "smtp://", "smtp://", SHAPE),
    ("SMTP_URL", "smtp://mail/x", "smtp://mail/x", SHAPE),
    ("SMTP_URL", "smtp://mail#x", "smtp://****", SHAPE),
    ("SMTP_URL", "smtp://hunter2@mail", "smtp://****@mail", PAIR),
    ("SMTP_URL", "smtp://me:@mail", "smtp://me:****@mail", PAIR),
    ("SMTP_URL", "smtp://:hunter2@mail", "smtp://:****@mail", PAIR),
    ("SMTP_URL", "smtp://mail:0", "smtp://mail:0", SERVER),
    ("SMTP_URL", "smtp://me:hunter2@mail:x", "smtp://****", SERVER),
    ("SMTP_URL", "smtp://me:hunter2@[::1", "smtp://****", SERVER),
    ("SMTP_URL", "smtp://me:hunter2\u2100@mail", "smtp://me:****@mail", SERVER),
    ("SMTP_URL", "smtp://me:[hunter2]@mail", "smtp://****", SERVER),
    ("SMTP_URL", "smtp://me:hunter2 @mail", "smtp://****", BLANK),
    ("SMTP_URL", "smtp://me:hunter2@mail\n", "smtp://****", BLANK),
    ("SMTP_URL", "smtp://me:hunter2%00@mail", "smtp://me:****@mail", CONTROL),
    ("SMTP_URL", "smtp://me:hunter2%FF@mail", "smtp://me:****@mail",
     "what is percent-encoded in it is not UTF-8"),
    ("API_TOKENS", "hunter2", "****", ENTRY),
    ("API_TOKENS", f"ci:send:{HASH},ci:hunter2", "ci:send:****,****", ENTRY),
    ("API_TOKENS", "ci:send:hunter2", "****", ENTRY),
    ("API_TOKENS", f"ci:root:{HASH}", "ci:root:****", ENTRY),
    ("PUBLIC_URL", "mail.example.com", "****", HTTPS),
    ("PUBLIC_URL", "http://mail.example.com", "http://mail.example.com", HTTPS),
    ("PUBLIC_URL", "https://me:hunter2@mail.example.com", "https://me:****@mail.example.com",
     "everybody who gets mail sees it, so no user or password may stand in it"),
    ("PUBLIC_URL", "https://", "https://", PLAIN),
    ("PUBLIC_URL", "https://mail.example.com/?a=hunter2", "https://mail.example.com/?****", PLAIN),
    ("PUBLIC_URL", "https://mail.example.com/#a", "https://****", PLAIN),
    ("PUBLIC_URL", "https://mail.example.com//a", "https://mail.example.com//a", PLAIN),
    ("PUBLIC_URL", "https://mail.example.com/%41", "https://mail.example.com/%41", PLAIN),
    ("PUBLIC_URL", 'https://mail.example.com/">x', 'https://mail.example.com/">x', PLAIN),
    ("PUBLIC_URL", f"https://mail.example.com/{'a' * 200}", f"https://mail.example.com/{'a' * 200}",
     "it is longer than 200 characters"),
    ("WEBHOOK_URL", "http://up.example.com/hunter2", "http://up.example.com/****", TO_HTTPS),
    ("WEBHOOK_URL", "http://127.0.0.1.example.com/", "http://127.0.0.1.example.com/", TO_HTTPS),
    ("WEBHOOK_URL", "ftp://up.example.com", "ftp://up.example.com", TO_HTTPS),
    ("WEBHOOK_URL", "up.example.com/hunter2", "****", TO_HTTPS),
    ("WEBHOOK_URL", "https:///hunter2", "https:///****", MISSING),
    ("WEBHOOK_URL", "https://me:hunter2@up.example.com", "https://me:****@up.example.com",
     "a user or password has no place in it; who receives checks signatures"),
    ("WEBHOOK_URL", "https://up.example.com/a#hunter2", "https://****", "what follows # is never sent"),
    ("WEBHOOK_SECRET", "hunter2", "****", WHSEC),
    ("WEBHOOK_SECRET", "whsec_hunter2", "****", WHSEC),
    ("WEBHOOK_SECRET", "A" * 44, "****", WHSEC),
    ("WEBHOOK_SECRET", f"whsec_{'hunter2/' * 11}", "****", WHSEC),
    ("WEBHOOK_SECRET", f"whsec_{'hunter2/' * 4} " * 6, "****", "there are more than 5"),
    ("LEASE_SECONDS", "4", "4", ""),
    ("LEASE_SECONDS", "3601", "3601", ""),
    ("LEASE_SECONDS", "1e2", "1e2", ""),
    ("LEASE_SECONDS", "３０", "３０", ""),
    ("GRACE_SECONDS", "0", "0", ""),
    ("GRACE_SECONDS", "3601", "3601", ""),
    ("SMTP_CONNECTIONS", "0", "0", ""),
    ("SMTP_CONNECTIONS", "9999999", "9999999", ""),
    ("LOG_LEVEL", "loud", "loud", ""),
    ("STATE_DIR", "~nobody-of-this-name/x", "~nobody-of-this-name/x", "there can be no such folder"),
)  # fmt: skip


@pytest.mark.parametrize(
    ("name", "text", "shown", "fault"),
    REFUSED,
    ids=[f"{row[0]}-{number}" for number, row in enumerate(REFUSED)],
)
def test_a_value_that_cannot_be_used_is_refused(name: str, text: str, shown: str, fault: str) -> None:
    """The refusal names the variable, the value without its secret, the fault and what may be written."""
    why = f": {fault}" if fault else ""

    assert (
        refusal(**{name: text}) == f"DISPATCHER_{name}: '{shown}' cannot be used{why}. Give {ALLOWED[name]}."
    )
    assert "hunter2" not in shown


def test_a_root_that_cannot_be_is_refused() -> None:
    """The root is refused like any other value."""
    with pytest.raises(
        SettingsInvalid, match=r"^DISPATCHER_ROOT: '~nobody-of-this-name' cannot be used: there can be"
    ):
        load(None, {"DISPATCHER_ROOT": "~nobody-of-this-name"})


def test_all_problems_come_at_once() -> None:
    """Every variable that is wrong is told, in their order."""
    with pytest.raises(SettingsInvalid) as refused:
        settings(
            LOG_LEVEL="loud", SMTP_URL="x", REDIS_URL="x", DATABASE_URL="x", LEASE_SECONDS="x", API_TOKENS="x"
        )

    assert [problem.where.removeprefix("DISPATCHER_") for problem in refused.value.problems] == [
        "DATABASE_URL", "REDIS_URL", "SMTP_URL", "API_TOKENS", "LEASE_SECONDS", "LOG_LEVEL",
    ]  # fmt: skip


def test_a_problem_in_the_file_names_the_file(tmp_path: Path) -> None:
    """Who reads the refusal knows where to correct it."""
    path = dotenv(tmp_path, "DISPATCHER_LOG_LEVEL=loud\n")
    with pytest.raises(SettingsInvalid, match=r"^DISPATCHER_LOG_LEVEL: ") as refused:
        load(tmp_path, {})

    assert f"'loud' in {path} cannot be used" in str(refused.value)


PASSWORDS = st.text(st.characters(min_codepoint=1, codec="utf-8"), max_size=12).map(lambda x: f"zq{x}qz")
FRAMES = st.sampled_from(
    ["{s}://me:{p}@h/x", "{s}://me@x:{p}@h:25/0", "{s}://:{p}@h", "{s}:me:{p}@h", "me:{p}@h", "{p}", "{s}://{p}@h/0",
     "{s}://me:{p}@[::1", "{s}://me:{p}@h:x", "{s}://me:{p}", "{s}://h/0?password={p}"]
)  # fmt: skip


@steady
@given(st.sampled_from(["DATABASE_URL", "REDIS_URL", "SMTP_URL"]), FRAMES, PASSWORDS, st.booleans())
def test_no_password_is_ever_told(name: str, frame: str, password: str, encoded: bool) -> None:
    """Accepted or refused, right or mistyped: neither settings nor refusals hold a password."""
    scheme = {"DATABASE_URL": "postgresql", "REDIS_URL": "redis", "SMTP_URL": "smtp"}[name]
    url = frame.format(s=scheme, p=quote(password, safe="") if encoded else password)
    try:
        found = settings(**{name: url})
        told = f"{found!r} {found} {found.shown}"
    except SettingsInvalid as error:
        told = f"{error!r} {error} {error.problems!r} {error.__cause__!r} {error.__context__!r}"

    assert "zq" not in told
    assert "qz" not in told


@steady
@given(st.sampled_from([variable for variable in VARIABLES if variable.hides]), st.text(max_size=50))
def test_any_value_can_be_masked(variable: Any, text: str) -> None:
    """Masking never fails, whatever was written, and shows nothing of nothing."""
    assert isinstance(masked(variable, text), str)
    assert masked(variable, "") == ""


def test_a_masked_user_can_still_be_read() -> None:
    """What is no secret stays, so that people can tell one relay from another."""
    shown = settings(SMTP_URL="smtp://me%40x:pw@mail:25").shown["DISPATCHER_SMTP_URL"]

    assert unquote(shown) == "smtp://me@x:****@mail:25"
