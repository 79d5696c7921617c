"""Cuts caniemail's data to what `dispatcher.mail.clients` needs.

Run it after an update of the npm package, in the folder of the project:
``python tests/mail/cut_caniemail.py tests/mail/node_modules/caniemail``.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

DATA = Path(__file__).parents[2] / "dispatcher" / "mail" / "data"

#: The mail programs that a mail must be right in; email-quality.md names them.
CLIENTS: Final = (
    "gmail.desktop-webmail",
    "gmail.ios",
    "gmail.android",
    "outlook.windows",
    "outlook.macos",
    "outlook.ios",
    "outlook.android",
    "outlook.outlook-com",
    "apple-mail.macos",
    "apple-mail.ios",
    "samsung-email.android",
    "yahoo.desktop-webmail",
    "yahoo.ios",
    "yahoo.android",
    "thunderbird.macos",
)
#: Properties of features whose title does not name them one by one.
_PROPERTIES: Final = {
    "css-block-inline-size": "block-size inline-size",
    "css-border-inline-block": "border-inline border-block",
    "css-border-inline-block-individual": "border-block-end border-block-start border-inline-end "
    "border-inline-start",
    "css-border-inline-block-longhand": "border-block-color border-block-style border-block-width "
    "border-inline-color border-inline-style border-inline-width",
    "css-border-radius-logical": "border-end-end-radius border-end-start-radius border-start-end-radius "
    "border-start-start-radius",
    "css-color-scheme": "color-scheme",
    "css-column-layout-properties": "column-count column-fill column-gap column-rule column-span "
    "column-width columns",
    "css-gap": "column-gap gap row-gap",
    "css-grid-template": "grid-template",
    "css-left-right-top-bottom": "left right top bottom",
    "css-margin-block-start-end": "margin-block-end margin-block-start",
    "css-margin-inline-block": "margin-block margin-inline",
    "css-margin-inline-start-end": "margin-inline-end margin-inline-start",
    "css-padding-block-start-end": "padding-block-end padding-block-start",
    "css-padding-inline-block": "padding-block padding-inline",
    "css-padding-inline-start-end": "padding-inline-end padding-inline-start",
}
_WORDS: Final = {
    "css-intrinsic-size": "fit-content min-content max-content",
    "css-sytem-ui": "system-ui ui-monospace ui-rounded ui-sans-serif ui-serif",
    "css-unit-initial": "initial",
}
_FUNCTIONS: Final = {
    "css-variables": "var",
    "css-modern-color": "lch oklch lab oklab",
    "css-unit-calc": "calc",
}
_SELECTORS: Final = {
    "css-selector-adjacent-sibling": r"\+",
    "css-selector-attribute": r"\[",
    "css-selector-chaining": r"\.[\w-]+\.",
    "css-selector-child": ">",
    "css-selector-general-sibling": "~",
    "css-selector-universal": r"\*",
    "css-pseudo-class-lang": ":lang",
}
_ELEMENTS: Final = {
    "html-semantics": "article aside details figcaption figure footer header main mark nav section summary "
    "time",
    "html-image-maps": "map",
    "html-svg": "svg",
}
_ATTRIBUTES: Final = {"html-srcset": "srcset sizes"}
_PAIRS: Final = {
    "html-anchor-links": ("a", "href", "#"),
    "html-mailto-links": ("a", "href", "mailto:"),
    "html-meta-color-scheme": ("meta", "name", "color-scheme"),
}


def main(package: Path) -> None:
    """Write ``caniemail.json`` from the npm package in the folder `package`."""
    source = json.loads((package / "data" / "caniemail.json").read_text(encoding="utf-8"))
    version = json.loads((package / "package.json").read_text(encoding="utf-8"))["version"]
    features = {}
    for feature in sorted(source["data"], key=lambda one: one["slug"]):
        without = [client for client in CLIENTS if _lacks(feature["stats"], client)]
        mark = _mark(feature["slug"], feature["title"].strip())
        if without and mark:
            numbers = [CLIENTS.index(client) for client in without]
            features[feature["slug"]] = {"title": feature["title"].strip(), **mark, "without": numbers}
    lines = [f"    {json.dumps(slug)}: {json.dumps(entry)}" for slug, entry in features.items()]
    head = {"package": f"caniemail {version}", "updated": source["last_update_date"], "clients": CLIENTS}
    text = "".join(f"  {json.dumps(key)}: {json.dumps(value)},\n" for key, value in head.items())
    text = "{\n" + text + '  "features": {\n' + ",\n".join(lines) + "\n  }\n}\n"
    (DATA / "caniemail.json").write_text(text, encoding="utf-8")


def _lacks(stats: Mapping[str, Any], client: str) -> bool:
    family, _, platform = client.partition(".")
    versions = stats.get(family, {}).get(platform)
    # The npm package takes the last version by its text, and the figures were set with it.
    return bool(versions) and str(versions[max(versions)]).startswith("n")


def _mark(slug: str, title: str) -> dict[str, Any]:
    """What shows that a mail uses a feature; empty if nothing that a mail of ours can hold does."""
    for kind, table in (
        ("property", _PROPERTIES),
        ("word", _WORDS),
        ("function", _FUNCTIONS),
        ("element", _ELEMENTS),
        ("attribute", _ATTRIBUTES),
    ):
        if slug in table:
            return {kind: table[slug].split()}
    if slug in _SELECTORS:
        return {"selector": _SELECTORS[slug]}
    if slug in _PAIRS:
        return {"pair": _PAIRS[slug]}
    return _mark_of_css(title) if slug.startswith("css-") else _mark_of_html(title)


def _mark_of_css(title: str) -> dict[str, Any]:
    if title.startswith("@"):
        return {"at": [title[1:]]} if title[1:].replace("-", "").isalpha() else {}
    if title.startswith(":"):
        return {"selector": re.escape(title.removesuffix("()")) + r"(?![\w-])"}
    if found := re.fullmatch(r"([a-z-]+)\(\)", title):
        return {"function": [found[1]]}
    if found := re.fullmatch(r"([a-z-]+):\s*([a-z-]+)", title):
        return {"declaration": [found[1], found[2]]}
    if found := re.fullmatch(r"(\S+) unit", title):
        return {"unit": found[1]}
    name = title.removesuffix(" shorthand").removesuffix(" property").strip()
    return {"property": [name]} if re.fullmatch("[a-z-]+", name) else {}


def _mark_of_html(title: str) -> dict[str, Any]:
    if found := re.fullmatch(r'<(\w+) (\w+)="(\w+)"> element', title):
        return {"pair": [found[1], found[2], found[3]]}
    if found := re.search(r"<(\w+)>", title):
        return {"element": [found[1]]}
    if title.endswith(" attribute"):
        return {"attribute": [title.removesuffix(" attribute")]}
    return {}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
