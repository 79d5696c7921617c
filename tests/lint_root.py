"""A root with a few types of the project's own, so that `check` has little to do."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from program import PROJECT

_TYPE = re.compile(r"(?m)^(?=  [a-z-]+:$)")


def small_root(folder: Path, *keys: str) -> Path:
    """Catalogue, templates and one instance in `folder`, with the types `keys` alone."""
    shutil.copytree(PROJECT / "templates", folder / "templates")
    head, _, types = (PROJECT / "catalogue.yaml").read_text(encoding="utf-8").partition("\ntypes:\n")
    kept = [part for part in _TYPE.split(types) if part.partition(":")[0].strip() in keys]
    (folder / "catalogue.yaml").write_text(f"{head}\ntypes:\n{''.join(kept)}", encoding="utf-8")
    (folder / "recipients").mkdir()
    instance = "instance: bare\nadmins: [only@bare.example]\n"
    (folder / "recipients" / "bare.yaml").write_text(instance, encoding="utf-8")
    return folder
