"""Files and folders that a README names are there."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
READMES = sorted(
    path
    for path in ROOT.rglob("*.md")
    if not {".venv", "runs", "reports", "node_modules"} & set(path.relative_to(ROOT).parts)
)
_PLACEHOLDER = "NAME"


@pytest.fixture(scope="module")
def files() -> list[str]:
    """Everything in the working tree that git does not ignore."""
    words = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("needs the git repository")
    return [name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


@pytest.mark.parametrize("path", READMES, ids=lambda path: str(path.relative_to(ROOT)))
def test_named_files_are_there(path: Path, files: list[str]) -> None:
    text = path.read_text(encoding="utf-8")
    named = {n for n in re.findall(r"`([\w./-]+\.py)`", text) if _PLACEHOLDER not in n}
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    named |= {name for row in rows for name in re.findall(r"`([\w/-]+/)`", row)}
    folder = path.parent.relative_to(ROOT).as_posix()
    below = [f"/{f}" for f in files if folder == "." or f.startswith(f"{folder}/")]
    missing = [
        name
        for name in sorted(named)
        if name not in files
        and not any(
            f"/{name}" in file if name.endswith("/") else file.endswith(f"/{name}")
            for file in below
        )
    ]
    assert missing == []
