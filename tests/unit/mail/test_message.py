from __future__ import annotations

import email
import email.policy
import html
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from email.message import EmailMessage

import pytest
from domain_examples import steady
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.domain.house import Sender
from dispatcher.mail.content import DECIDE, RECIPIENT, UNSUBSCRIBE, Content, Invite, Method
from dispatcher.mail.message import (
    Addressee,
    Sealed,
    expected,
    finish,
    list_headers,
    message_id,
    seal,
)
from dispatcher.mail.parts import verify

CONTENT = Content(
    subject="Planned maintenance: Contoso Production",
    html=f"<html><body><p>Für {RECIPIENT}</p></body></html>\n",
    text=f"Planned maintenance\n\nSent to {RECIPIENT}.\n",
    template="maintenance@3f2a9c1e",
    language="en",
)
PERSON = Addressee(
    address="ops@contoso.example",
    name="Operations",
    message_id="<abc123@fabrikam.example>",
    date=datetime(2027, 3, 6, 21, 0, tzinfo=UTC),
    sender=Sender(address="notices@fabrikam.example", name="Fabrikam Business Cloud"),
)
INVITE = Invite(
    "PUBLISH", "BEGIN:VCALENDAR\r\nSUMMARY:Größe ends with a blank \r\n and goes on\r\nEND:VCALENDAR\r\n"
)
WITH_INVITE = replace(CONTENT, invite=INVITE)
#: As an earlier release sealed it. Rows like this wait in ledgers while Dispatcher is brought up to date.
EARLIER = (
    rb'{"version":1,"names":["MIME-Version","Auto-Submitted","X-Auto-Response-Suppress","Content-Language",'
    rb'"List-Id","Content-Type"],"subject":"Subject: =?utf-8?b?V2FydHVuZyDilqA=?=\r\n",'
    rb'"head":"MIME-Version: 1.0\r\nAuto-Submitted: auto-generated\r\n'
    rb"X-Auto-Response-Suppress: DR, RN, NRN, OOF, AutoReply\r\nContent-Language: de\r\n"
    rb"List-Id: <planned-maintenance.notices.fabrikam.example>\r\nContent-Type: multipart/alternative;\r\n"
    rb" boundary=\"=_b5a9c12b8fa13c35960aa8a45fbeaea3\"\r\n\r\n--=_b5a9c12b8fa13c35960aa8a45fbeaea3\r\n"
    rb"Content-Type: text/plain; charset=utf-8\r\nContent-Language: de\r\n"
    rb'Content-Transfer-Encoding: quoted-printable\r\n\r\n",'
    rb'"middle":"\r\n--=_b5a9c12b8fa13c35960aa8a45fbeaea3\r\nContent-Type: text/html; charset=utf-8\r\n'
    rb'Content-Language: de\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n",'
    rb'"tail":"\r\n--=_b5a9c12b8fa13c35960aa8a45fbeaea3--\r\n",'
    rb'"text":["An=20=\r\n","RcptAddr7Q2mXk9VtHd4","=2E\r\n"],'
    rb'"html":["<p>F=C3=BCr=20=\r\n","RcptAddr7Q2mXk9VtHd4","</p>\r\n"]}'
)
INJECTIONS = (
    "Hello\r\nBcc: everybody@example.com",
    "Hello\nBcc: everybody@example.com",
    "Hello\rBcc: everybody@example.com",
    "Hello\x85Bcc: everybody@example.com",
    "Hello\u2028Bcc: everybody@example.com",
    "Hello\u2029Bcc: everybody@example.com",
    "Hello\x0bBcc: everybody@example.com",
    "Hello\x00",
    "Hello\x7f",
)
DISGUISES = (
    "=?UTF-8?Q?=0ABcc=3A_everybody=40example.com?=",
    "=?UTF-8?B?CkJjYzogZXZlcnlib2R5QGV4YW1wbGUuY29t?=",
    "x =?utf-8?q?=0D=0ABcc:_a@b.example?= y",
    "=?utf-8?q?unfinished",
    '"=?utf-8?q?=0ABcc:_a@b.example?="',
)
BODIES = (
    "",
    "\n",
    RECIPIENT,
    f"{RECIPIENT}\n",
    f"\n{RECIPIENT}",
    f"a {RECIPIENT} b",
    f"{RECIPIENT}{RECIPIENT}",
    f"{RECIPIENT} = {RECIPIENT}\n",
    f"trailing blank \n{RECIPIENT} \n",
    f"{'x' * 76}{RECIPIENT}{'y' * 76}",
    f"{'x' * 75}{RECIPIENT}",
    f"{'x' * 73}é{RECIPIENT}é",
    f"{'=' * 25}x{RECIPIENT}",
    ".\n..\n.x\n\n.",
    f".{RECIPIENT}.\n.\n",
    "no line break at the end",
    "tab\there\t\n",
    "=_looks like a boundary\n--=_\n",
    "From the beginning\n",
    "漢字" * 200,
)
ADDRESSES = (
    "a@b.example",
    "o'brien+tag@contoso.example",
    "a=b&c@contoso.example",
    f"{'=' * 64}@{'d' * 63}.{'e' * 63}.example",
    f"{'l' * 64}@{'d' * 63}.{'e' * 63}.{'f' * 40}.example",
)

readable = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=200)
body_text = st.lists(
    st.one_of(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r"), max_size=120),
        st.just(RECIPIENT),
        st.sampled_from((".", "\n", " \n", "=", "=\n", "x" * 76, "é" * 30)),
    ),
    max_size=12,
).map("".join)


def finished(content: Content, person: Addressee = PERSON, headers: Mapping[str, str] | None = None) -> bytes:
    return finish(Sealed.load(seal(content, headers=headers or {})), person)


def parsed(message: bytes) -> EmailMessage:
    return email.message_from_bytes(message, _class=EmailMessage, policy=email.policy.default)


def bodies(message: bytes) -> tuple[str, str]:
    text, page = parsed(message).iter_parts()
    decoded = (part.get_payload(decode=True) for part in (text, page))
    first, second = (body.decode().replace("\r\n", "\n") for body in decoded if isinstance(body, bytes))
    return first, second


def unspaced(name: str) -> str:
    # Python 3.11 reads a blank between two encoded words of a name; RFC 2047, 6.2, says there is none.
    return "".join(name.split())


def lines_over(message: bytes, width: int) -> list[bytes]:
    return [line for line in message.split(b"\r\n") if len(line) > width]


class TestMessage:
    def test_headers_stand_once_and_in_order(self) -> None:
        """A message carries exactly the headers that a notification needs, and no Precedence."""
        headers = list_headers("planned-maintenance", "en", "Fabrikam.example")
        message = parsed(finished(CONTENT, headers=headers))

        assert message.items() == [
            ("From", "Fabrikam Business Cloud <notices@fabrikam.example>"),
            ("To", "Operations <ops@contoso.example>"),
            ("Subject", "Planned maintenance: Contoso Production"),
            ("Date", "Sat, 06 Mar 2027 21:00:00 +0000"),
            ("Message-ID", "<abc123@fabrikam.example>"),
            ("MIME-Version", "1.0"),
            ("Auto-Submitted", "auto-generated"),
            ("X-Auto-Response-Suppress", "DR, RN, NRN, OOF, AutoReply"),
            ("Content-Language", "en"),
            ("List-Id", "<planned-maintenance.notices.fabrikam.example>"),
            ("Feedback-ID", "planned-maintenance:en:notices:fabrikamexample"),
            ("Content-Type", message["Content-Type"]),
        ]

    def test_text_comes_before_html_in_quoted_printable(self) -> None:
        """The alternative's parts are plain text, then HTML, both in UTF-8 and in the mail's language."""
        parts = list(parsed(finished(CONTENT)).iter_parts())

        assert [part.get_content_type() for part in parts] == ["text/plain", "text/html"]
        assert {part["Content-Transfer-Encoding"] for part in parts} == {"quoted-printable"}
        assert {part["Content-Language"] for part in parts} == {"en"}
        assert {part.get_content_charset() for part in parts} == {"utf-8"}

    def test_a_thread_is_named_in_both_headers(self) -> None:
        """An update refers to the root of its thread in In-Reply-To and References."""
        message = parsed(finished(CONTENT, replace(PERSON, thread_root="<root@fabrikam.example>")))

        assert message["In-Reply-To"] == message["References"] == "<root@fabrikam.example>"

    def test_one_click_unsubscribe_stays_on_one_line(self) -> None:
        """List-Unsubscribe is never folded, however long its URL is."""
        url = f"https://notices.fabrikam.example/unsubscribe/{'t' * 200}"
        message = finished(CONTENT, replace(PERSON, unsubscribe=url))

        assert f"\r\nList-Unsubscribe: <{url}>\r\n".encode() in message
        assert b"\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" in message
        assert len(lines_over(message, 78)) == 1

    def test_the_link_to_unsubscribe_stands_in_both_bodies(self) -> None:
        """The reader's URL is put into text and HTML; without one the message is refused."""
        url = f"https://notices.fabrikam.example/stop?a={'b' * 90}&c=d"
        sealed = Sealed.load(
            seal(
                replace(CONTENT, text=f"Stop: {UNSUBSCRIBE}\n", html=f'<a href="{UNSUBSCRIBE}">x</a>'),
                headers={},
            )
        )

        assert bodies(finish(sealed, replace(PERSON, unsubscribe=url))) == (
            f"Stop: {url}\n",
            f'<a href="{html.escape(url)}">x</a>',
        )
        with pytest.raises(ValueError, match="no URL was given"):
            finish(sealed, PERSON)

    def test_the_link_to_decide_stands_in_both_bodies(self) -> None:
        """It is the reader's own, what it says is kept beside the content, and without it nothing leaves."""
        url = "https://notices.fabrikam.example/decide/1.abc.def"
        bodied = replace(CONTENT, text=f"Decide: {DECIDE}\n", html=f'<a href="{DECIDE}">x</a>')
        data = seal(bodied, headers={}, decide={"p": "pln_1", "r": "2"})
        sealed = Sealed.load(data)

        assert (sealed.decide, sealed.has(DECIDE)) == ({"p": "pln_1", "r": "2"}, True)
        assert sealed.dump() == data
        made = bodies(finish(sealed, replace(PERSON, decide=url)))
        assert made == (f"Decide: {url}\n", f'<a href="{url}">x</a>')
        with pytest.raises(ValueError, match="no URL was given"):
            finish(sealed, PERSON)
        assert Sealed.load(seal(CONTENT, headers={})).decide == {}

    def test_headers_for_programs_are_never_encoded(self) -> None:
        """A long word stays as it is in a header that programs read; blanks are where others are folded."""
        headers = {"Feedback-ID": "t" * 100, "X-Long": "word " * 30 + "end"}
        message = finished(CONTENT, headers=headers)

        assert b"\r\nFeedback-ID: %b\r\n" % (b"t" * 100) in message
        assert parsed(message)["X-Long"] == headers["X-Long"]
        assert len(lines_over(message, 78)) == 1

    def test_the_same_content_gives_the_same_bytes(self) -> None:
        """Sealing is deterministic, so that a repeat of an event makes no second variant."""
        assert seal(CONTENT, headers={}) == seal(CONTENT, headers={})
        assert seal(CONTENT, headers={}) != seal(replace(CONTENT, text="other"), headers={})

    def test_sealed_bytes_of_another_version_are_refused(self) -> None:
        """A sealed message of another version is refused instead of misread."""
        data = seal(CONTENT, headers={}).replace(b'"version":1', b'"version":2')

        with pytest.raises(ValueError, match="another version"):
            Sealed.load(data)

    def test_a_sealed_message_survives_its_bytes(self) -> None:
        """Reading a sealed message back loses nothing."""
        data = seal(CONTENT, headers={"Feedback-ID": "a:b:c:dispatch"})

        assert Sealed.load(data).dump() == data

    def test_message_id_is_in_our_domain(self) -> None:
        """A Message-ID is the delivery's id in the sender's domain, in lower case."""
        assert message_id("k3J9", "Notices.Fabrikam.example") == "<k3J9@notices.fabrikam.example>"

    def test_a_message_sealed_by_an_earlier_release_is_sent(self) -> None:
        """What waits in a ledger across a new release is finished as before."""
        sealed = Sealed.load(EARLIER)
        message = finish(sealed, replace(PERSON, thread_root="<root@fabrikam.example>"))

        verify(message, expected(sealed, replace(PERSON, thread_root="<root@fabrikam.example>")))
        assert sealed.dump() == EARLIER
        assert parsed(message)["Subject"] == "Wartung ■"
        assert bodies(message) == ("An ops@contoso.example.\n", "<p>Für ops@contoso.example</p>\n")


class TestCalendar:
    @pytest.mark.parametrize("method", ["PUBLISH", "CANCEL"])
    def test_a_window_is_attached_beside_the_bodies(self, method: Method) -> None:
        """The file stands last, as an attachment whose type names its method; the bodies stay together."""
        message = finished(replace(CONTENT, invite=replace(INVITE, method=method)))
        said, file = parsed(message).iter_parts()

        assert parsed(message).get_content_type() == "multipart/mixed"
        assert [part.get_content_type() for part in said.iter_parts()] == ["text/plain", "text/html"]
        assert file["Content-Type"] == f'text/calendar; charset="utf-8"; method="{method}"'
        assert (file.get_content_disposition(), file.get_filename()) == ("attachment", "invite.ics")

    def test_the_file_reads_back_to_the_letter(self) -> None:
        """Blanks at the ends of lines, folded lines and letters outside ASCII survive the way."""
        message = finished(WITH_INVITE)
        [_, file] = parsed(message).iter_parts()

        assert file.get_payload(decode=True) == INVITE.text.encode()
        assert message.isascii()
        assert lines_over(message, 78) == []
        assert re.search(rb"(?<!\r)\n|\r(?!\n)", message) is None

    def test_a_window_changes_nothing_else(self) -> None:
        """Headers and bodies are the same with a file as without, but for the outer type."""
        plain, attached = parsed(finished(CONTENT)), parsed(finished(WITH_INVITE))
        [said, _] = attached.iter_parts()

        assert attached.items()[:-1] == plain.items()[:-1]
        assert [part.get_content() for part in said.iter_parts()] == [
            part.get_content() for part in plain.iter_parts()
        ]

    def test_a_file_spelt_like_a_slot_or_a_boundary_stays_what_it_is(self) -> None:
        """Nothing is put into the file for one reader, and nothing in it ends its part."""
        text = f"BEGIN:VCALENDAR\r\nX:{RECIPIENT}{UNSUBSCRIBE}\r\n--=_x\r\nEND:VCALENDAR\r\n"
        [_, file] = parsed(finished(replace(CONTENT, invite=Invite("PUBLISH", text)))).iter_parts()

        assert file.get_payload(decode=True) == text.encode()


class TestReadBack:
    @steady
    @given(subject=readable, name=readable)
    def test_subject_and_names_read_back(self, subject: str, name: str) -> None:
        """Any subject and any name without control characters reads back as it was written."""
        sender = Sender(address="notices@fabrikam.example", name=name or "x")
        message = finished(replace(CONTENT, subject=subject), replace(PERSON, name=name, sender=sender))
        read = parsed(message)

        assert read["Subject"] == subject
        assert read["To"].addresses[0].display_name.replace(" ", "") == unspaced(name)
        assert read["From"].addresses[0].display_name.replace(" ", "") == unspaced(name or "x")
        assert read["To"].addresses[0].addr_spec == PERSON.address
        assert read.keys() == parsed(finished(CONTENT)).keys()
        assert lines_over(message, 78) == []

    @steady
    @given(text=body_text, page=body_text)
    def test_bodies_read_back(self, text: str, page: str) -> None:
        """Any body reads back with the reader's address in place of the token, in short 7-bit lines."""
        person = replace(PERSON, address="a=b&c@contoso.example")
        message = finished(replace(CONTENT, text=text, html=page), person)

        assert bodies(message) == (
            text.replace(RECIPIENT, person.address),
            page.replace(RECIPIENT, html.escape(person.address)),
        )
        assert message.isascii()
        assert lines_over(message, 78) == []
        assert re.search(rb"(?<!\r)\n|\r(?!\n)", message) is None

    @pytest.mark.parametrize("address", ADDRESSES)
    @pytest.mark.parametrize("body", BODIES)
    def test_the_address_stands_anywhere(self, body: str, address: str) -> None:
        """The address fits at the start, in the middle and at the end of lines, however long it is."""
        message = finished(replace(CONTENT, text=body, html=body), replace(PERSON, address=address))
        head, _, rest = message.partition(b"\r\n\r\n")

        assert bodies(message) == (
            body.replace(RECIPIENT, address),
            body.replace(RECIPIENT, html.escape(address)),
        )
        assert lines_over(rest, 76) == []
        assert all(address.encode() in line for line in lines_over(head, 78))

    @pytest.mark.parametrize(
        "subject",
        [
            "x" * 66,
            "x" * 67,
            "x" * 68,
            "word " * 40 + "end",
            "two  blanks",
            " leading",
            "trailing ",
            "é" * 100,
            "漢" * 100,
            "👩‍👩‍👧" * 30,
            "a, b; <c@d.example> (e)",
            *DISGUISES,
        ],
    )
    def test_hard_subjects_read_back(self, subject: str) -> None:
        """Long, odd and deceptive subjects read back in lines of at most 78."""
        message = finished(replace(CONTENT, subject=subject))

        assert parsed(message)["Subject"] == subject
        assert lines_over(message, 78) == []

    def test_plain_subjects_stay_readable(self) -> None:
        """ASCII is folded, never encoded: filters count needless encoding as spam."""
        message = finished(
            replace(CONTENT, subject="Planned maintenance on 6 Mar 2027, 22:00 CET:" + " word" * 30)
        )

        assert b"=?" not in message.partition(b"\r\n\r\n")[0]

    @pytest.mark.parametrize(
        "name", ['Ops, "Night" \\ Shift', "O'Brien (on call)", "Müller, Jürgen", None, *DISGUISES]
    )
    def test_hard_names_read_back(self, name: str | None) -> None:
        """Names with commas, quotes, brackets and look-alikes of encoded words read back as one mailbox."""
        mailboxes = parsed(finished(CONTENT, replace(PERSON, name=name)))["To"].addresses

        assert [(box.display_name, box.addr_spec) for box in mailboxes] == [(name or "", PERSON.address)]


class TestRefusals:
    @pytest.mark.parametrize("text", INJECTIONS)
    def test_line_breaks_in_headers_are_refused(self, text: str) -> None:
        """No control character gets into a subject, a name or another header."""
        with pytest.raises(ValueError, match=r"Subject has the character U\+"):
            seal(replace(CONTENT, subject=text), headers={})
        with pytest.raises(ValueError, match=r"X-Thing has the character U\+"):
            seal(CONTENT, headers={"X-Thing": text})
        with pytest.raises(ValueError, match=r"the name in To has the character U\+"):
            finished(CONTENT, replace(PERSON, name=text))

    @pytest.mark.parametrize("text", DISGUISES)
    def test_encoded_line_breaks_become_text(self, text: str) -> None:
        """An encoded word in a subject or a name is shown as it is and adds no header."""
        message = finished(replace(CONTENT, subject=text), replace(PERSON, name=text))

        assert parsed(message).keys() == parsed(finished(CONTENT)).keys()
        assert "Bcc" not in parsed(message)

    @pytest.mark.parametrize("text", DISGUISES)
    def test_encoded_words_in_other_headers_are_refused(self, text: str) -> None:
        """A header that is given as it is may hold no encoded word."""
        with pytest.raises(ValueError, match="without '=\\?'"):
            seal(CONTENT, headers={"X-Thing": text})

    @pytest.mark.parametrize("name", ["bcc", "To", "Precedence", "Content-Type", "X Thing", "X:", ""])
    def test_reserved_header_names_are_refused(self, name: str) -> None:
        """A header that would add a reader, or that is written here, cannot be given."""
        with pytest.raises(ValueError, match="cannot be given as a header"):
            seal(CONTENT, headers={name: "x"})

    @pytest.mark.parametrize(
        ("field", "value", "why"),
        [
            ("address", "a@b.example, c@d.example", "comma"),
            ("address", "a@b.example\r\nBcc: c@d.example", "line break"),
            ("message_id", "<a@b.example>\r\nBcc: c@d.example", "no message id|of the form"),
            ("message_id", "a@b.example", "of the form"),
            ("thread_root", "<a@b.example> <c@d.example>", "of the form"),
            ("unsubscribe", "http://b.example/", "no https URL"),
            ("unsubscribe", "https://b.example/>\r\nBcc: a@b.example", "no https URL"),
        ],
    )
    def test_values_of_a_person_are_checked(self, field: str, value: str, why: str) -> None:
        """What differs per reader is checked each time, since only a sample is parsed back."""
        sealed = Sealed.load(seal(CONTENT, headers={}))

        with pytest.raises(ValueError, match=why):
            finish(sealed, replace(PERSON, **{field: value}))  # type: ignore[arg-type]

    def test_verify_finds_an_added_header(self) -> None:
        """A message whose headers read back otherwise than expected is refused."""
        sealed = Sealed.load(seal(CONTENT, headers={}))
        message, names = finish(sealed, PERSON), expected(sealed, PERSON)

        verify(message, names)
        with pytest.raises(ValueError, match="Bcc"):
            verify(b"Bcc: everybody@example.com\r\n" + message, names)

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            (b"<ops@contoso.example>", b"<ops@contoso.example>, x@y.example"),
            (b"text/html", b"text/plain"),
            (b"Content-Language: en", "Content-Language: é".encode()),
            (b'boundary="', b'boundary="other'),
        ],
    )
    def test_verify_finds_a_malformed_message(self, old: bytes, new: bytes) -> None:
        """A message with a second reader, other parts, raw 8-bit text or a lost boundary is refused."""
        sealed = Sealed.load(seal(CONTENT, headers={}))
        message = finish(sealed, PERSON).replace(old, new)

        with pytest.raises(ValueError, match="reads back"):
            verify(message, expected(sealed, PERSON))

    @pytest.mark.parametrize("content", [CONTENT, WITH_INVITE], ids=["alternative", "mixed"])
    @pytest.mark.parametrize(
        ("old", "new"),
        [
            (
                b"Content-Language: en\r\nContent-Transfer",
                b"Content-Language: en\r\nX-Y: z\r\nContent-Transfer",
            ),
            (b"Content-Language: en\r\nContent-Transfer", b"Content-Transfer"),
            (b"Content-Type: text/html;", b"Content-Disposition: inline\r\nContent-Type: text/html;"),
            (b"text/plain", b"text/calendar"),
            (b"--=_", b"said before the parts\r\n--=_"),
            (b"\r\n\r\n--=_", b"\r\n\r\n--=_0\r\n\r\n\r\n--=_"),
        ],
    )
    def test_verify_finds_what_does_not_belong_into_a_part(
        self, content: Content, old: bytes, new: bytes
    ) -> None:
        """A header of a part that is added, lost or another, and text beside the parts, are refused."""
        sealed = Sealed.load(seal(content, headers={}))
        calendar = content.invite is not None
        message, names = finish(sealed, PERSON), expected(sealed, PERSON)

        verify(message, names, calendar=calendar)
        assert old in message
        with pytest.raises(ValueError, match="reads back"):
            verify(message.replace(old, new), names, calendar=calendar)

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            (b"Content-Disposition: attachment", b"Content-Disposition: inline"),
            (b"Content-Disposition: attachment", b"X-Was: attachment"),
            (b"text/calendar", b"text/html"),
            (b"multipart/mixed", b"multipart/alternative"),
            (b"multipart/mixed", b"multipart/related"),
        ],
    )
    def test_verify_finds_a_file_in_another_place(self, old: bytes, new: bytes) -> None:
        """A file for calendars is an attachment of its own, or nothing."""
        sealed = Sealed.load(seal(WITH_INVITE, headers={}))
        message, names = finish(sealed, PERSON), expected(sealed, PERSON)

        with pytest.raises(ValueError, match="reads back"):
            verify(message.replace(old, new), names, calendar=True)

    def test_verify_takes_no_shape_for_the_other(self) -> None:
        """A file nobody asked for is refused, and so is one that is missing."""
        plain, attached = (Sealed.load(seal(one, headers={})) for one in (CONTENT, WITH_INVITE))

        with pytest.raises(ValueError, match="reads back with the parts"):
            verify(finish(attached, PERSON), expected(attached, PERSON))
        with pytest.raises(ValueError, match="reads back with the parts"):
            verify(finish(plain, PERSON), expected(plain, PERSON), calendar=True)
