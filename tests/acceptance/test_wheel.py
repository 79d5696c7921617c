"""What is installed is whole."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

from program import PROJECT


def test_the_wheel_carries_the_starting_points(tmp_path: Path) -> None:
    """Catalogue, every template, every sample list, the schemas and the pages travel with the program."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=PROJECT, check=True, capture_output=True, timeout=60)
    [wheel] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = set(archive.namelist())

    wanted = {"dispatcher/starter/catalogue.yaml", "dispatcher/cli/pages/demo.html.j2", "dispatcher/py.typed"}
    starts = {"templates": "*.j2", "recipients": "*.yaml", "policy-tests": "*.yaml", "docs/schemas": "*.json"}
    for folder, pattern in starts.items():
        files = list((PROJECT / folder).glob(pattern))
        assert files
        wanted |= {f"dispatcher/starter/{folder}/{file.name}" for file in files}
    for folder in ("dispatcher/web/pages", "dispatcher/cli/pages", "dispatcher/mail/data"):
        wanted |= {f"{folder}/{file.name}" for file in (PROJECT / folder).iterdir() if file.is_file()}
    texts = [file.relative_to(PROJECT) for file in (PROJECT / "locales").rglob("*.po")]
    assert len(texts) == 8
    wanted |= {f"dispatcher/starter/{file.as_posix()}" for file in texts}
    assert wanted <= packed
    assert not {name for name in packed if "__pycache__" in name or name.startswith("tests")}
