"""The preview over real HTTP: it follows the files, and says what is wrong with them."""

from __future__ import annotations

import asyncio
import re
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from program import PROJECT, started
from slow import PATIENT

from dispatcher import environment
from dispatcher.cli.preview_site import create_site
from dispatcher.cli.preview_state import Choice, Current
from dispatcher.web.server import listen, serve_asgi

PAGE = "/planned-maintenance/de/index.html"
SECONDS = 20 * PATIENT


@dataclass(frozen=True, slots=True)
class Running:
    """A preview that is served, and the root that it follows."""

    root: Path
    http: httpx.AsyncClient
    stop: asyncio.Event

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self.http.get(path, headers=headers)

    async def version(self, path: str = "/index.html") -> str:
        found = re.search(r'data-version="(\w+)"', (await self.get(path)).text)
        assert found is not None
        return found[1]

    async def news(self, since: str) -> str:
        """What a browser is told that shows this version."""
        return (await self.get(f"/changes?since={since}")).text

    def edit(self, file: str, old: str, new: str) -> None:
        path = self.root / file
        source = path.read_text(encoding="utf-8")
        assert old in source
        path.write_text(source.replace(old, new, 1), encoding="utf-8")


@asynccontextmanager
async def _running(root: Path, choice: Choice) -> AsyncIterator[Running]:
    stop: asyncio.Event = asyncio.Event()
    url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    site = create_site(Current(environment.load(root), choice), stop, "127.0.0.1")
    listener = await listen("127.0.0.1", 0)
    serving = asyncio.create_task(serve_asgi(site, listener, stop, url.set_result, 2))
    try:
        async with httpx.AsyncClient(base_url=await url, timeout=SECONDS) as http:
            yield Running(root, http, stop)
    finally:
        stop.set()
        await asyncio.wait_for(serving, SECONDS)


@pytest.fixture
def own_root(root: Path, tmp_path: Path) -> Path:
    """A root whose files a test may break."""
    shutil.copytree(root, tmp_path / "root", ignore=shutil.ignore_patterns(".dispatcher"))
    shutil.copytree(PROJECT / "locales", tmp_path / "root" / "locales")
    return tmp_path / "root"


@pytest.fixture
async def preview(own_root: Path) -> AsyncIterator[Running]:
    async with _running(own_root, Choice(languages=("en", "de"))) as running:
        yield running


async def test_the_index_links_to_pages_that_are_rendered_on_demand(preview: Running) -> None:
    """Index, page, copies, text and source are served; what is not there is 404."""
    index = await preview.get("/")
    page = await preview.get(PAGE)
    dark = await preview.get("/planned-maintenance/de/dark.html")
    kinds = {name: await preview.get(f"/planned-maintenance/de/{name}") for name in ("mail.txt", "mail.eml")}

    assert index.status_code == 307
    assert 'href="planned-maintenance/de/index.html"' in (await preview.get("/index.html")).text
    assert "Europe/Berlin" in page.text
    assert dark.headers["content-security-policy"].startswith("sandbox; default-src 'none'")
    assert kinds["mail.txt"].headers["content-type"] == "text/plain; charset=utf-8"
    assert kinds["mail.eml"].content.startswith(b"From: ")
    for gone in ("/planned-maintenance/ja/index.html", "/nothing/de/index.html", "/x", f"{PAGE}/../etc"):
        assert (await preview.get(gone)).status_code == 404


@pytest.mark.parametrize(
    ("file", "old", "new", "seen"),
    [
        ("templates/maintenance.html.j2", "{% block content %}", "{% block content %}Hello there", "html"),
        ("catalogue.yaml", "name: Fabrikam Business Cloud", "name: Northwind Cloud", "html"),
    ],
)
async def test_a_page_follows_what_is_saved(
    preview: Running, file: str, old: str, new: str, seen: str
) -> None:
    """A browser that waits is told, and what it loads then is new."""
    version = await preview.version(PAGE)
    waiting = asyncio.create_task(preview.news(version))
    preview.edit(file, old, new)
    told = await waiting
    mail = await preview.get(f"/planned-maintenance/de/mail.{seen}")

    assert re.search(r"data: \w+\n\n", told)
    assert version not in told
    assert new.rpartition("}")[2].removeprefix("name: ") in mail.text
    assert await preview.version(PAGE) != version


@pytest.mark.parametrize("folder", ["locales/de/LC_MESSAGES", "recipients", "templates"])
async def test_a_new_file_is_news(preview: Running, folder: str) -> None:
    """Translations and recipient lists are followed as templates are; what editors leave beside is not."""
    name = {"locales/de/LC_MESSAGES": "more.po", "recipients": "more.yaml", "templates": "more.html.j2"}[
        folder
    ]
    before = await preview.version()
    (preview.root / folder / f".{name}").write_text("", encoding="utf-8")
    (preview.root / folder / f"{name}~").write_text("", encoding="utf-8")
    between = await preview.version()
    (preview.root / folder / name).write_text("", encoding="utf-8")

    assert before == between
    assert await preview.version() != between


async def test_a_broken_template_is_told_and_a_mended_one_shown(preview: Running) -> None:
    """The page says file, line and what is wrong; once it is mended the mail is back."""
    preview.edit("templates/maintenance.html.j2", "{% block content %}", "{% block content %}\n{{ nope }}")
    page = await preview.get(PAGE)
    frame = await preview.get("/planned-maintenance/de/light.html")
    preview.edit("templates/maintenance.html.j2", "{{ nope }}", "{% if %}")
    index = await preview.get("/index.html")
    preview.edit("templates/maintenance.html.j2", "{% if %}", "")
    mended = await preview.get(PAGE)

    assert (page.status_code, frame.status_code, index.status_code) == (500, 500, 200)
    assert re.search(r"<code>templates/maintenance\.html\.j2:\d+</code>", page.text)
    assert "&#39;nope&#39; is undefined" in page.text
    assert "data-version" in page.text
    assert re.search(r"<code>templates/maintenance\.html\.j2:\d+</code> cannot be read", index.text)
    assert mended.status_code == 200


async def test_a_template_that_loops_for_ever_is_told(preview: Running) -> None:
    """The page says in which line, and other pages go on."""
    loop = "{% block content %}{% for n in range(10000000000) %}{% endfor %}"
    preview.edit("templates/maintenance.html.j2", "{% block content %}", loop)
    page, index = await preview.get(PAGE), await preview.get("/index.html")

    assert (page.status_code, index.status_code) == (500, 200)
    assert re.search(r"<code>templates/maintenance\.html\.j2:\d+</code> a mail is not done after", page.text)


async def test_a_broken_catalogue_is_told(preview: Running) -> None:
    """Every page says what is wrong with it, where, and what would be right."""
    preview.edit("catalogue.yaml", "lane: urgent", "lane: soon")
    pages = [await preview.get(path) for path in ("/index.html", PAGE, "/planned-maintenance/de/dark.html")]
    preview.edit("catalogue.yaml", "lane: soon", "lane: urgent")

    assert [page.status_code for page in pages] == [500, 500, 500]
    assert all(re.search(r"<code>catalogue\.yaml:\d+:\d+</code>", page.text) for page in pages)
    assert (await preview.get(PAGE)).status_code == 200


async def test_an_instance_of_the_recipient_lists_is_shown_as_it_reads_now(own_root: Path) -> None:
    """With `--instance` a mail is about it; a changed list shows."""
    async with _running(own_root, Choice(instance="contoso-prod")) as preview:
        before = await preview.get("/planned-maintenance/de/mail.txt")
        preview.edit("recipients/contoso-prod.yaml", "name: Contoso Production", "name: Contoso Anew")
        after = await preview.get("/planned-maintenance/de/mail.txt")

    assert "Contoso Production" in before.text
    assert "Contoso Anew" in after.text


async def test_no_name_of_elsewhere_leads_to_the_preview(preview: Running) -> None:
    """A page of the web that reaches this machine by a name of its own is refused."""
    assert (await preview.get("/index.html", Host="evil.example")).status_code == 400
    assert (await preview.get("/index.html", Host="localhost:1")).status_code == 200


def test_ctrl_c_ends_it_while_a_template_loops(own_root: Path) -> None:
    """The page that is being rendered is answered, and the process ends by itself."""
    template = own_root / "templates" / "maintenance.html.j2"
    loop = "{% block content %}{% for n in range(10000000000) %}{% endfor %}"
    template.write_text(template.read_text("utf-8").replace("{% block content %}", loop), encoding="utf-8")
    process = started(own_root, "preview", "--type", "planned-maintenance")
    try:
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]
        with closing(HTTPConnection(urlsplit(url).netloc, timeout=SECONDS)) as browser:
            browser.request("GET", PAGE)
            # Once the index is answered, the page that was asked for before it is on its way.
            httpx.get(f"{url}/index.html", timeout=SECONDS)
            process.send_signal(signal.SIGINT)
            code = process.wait(SECONDS)
            answer = browser.getresponse()
        assert (code, answer.status) == (0, 500)
    finally:
        process.kill()
        process.communicate()


async def test_browsers_that_wait_do_not_hold_up_the_end(preview: Running) -> None:
    """Once told to stop, the server lets those go who wait for news."""
    version = await preview.version()
    async with preview.http.stream("GET", f"/changes?since={version}") as waiting:
        lines = waiting.aiter_lines()
        first = await anext(lines)
        preview.stop.set()
        rest = [line async for line in lines]

    assert first == ": nothing new"
    assert not any(rest)
