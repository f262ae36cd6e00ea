"""Settings that were changed when a run was continued, as its changes.jsonl keeps them."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from data_pipelines.bounded_json import json_lines

CHANGES = "changes.jsonl"

#: Versions before 0.2.0 applied such changes and kept no record of them.
_WITHOUT_RECORD = ("0.1.",)


class Change(NamedTuple):
    """One setting from one step on.

    Attributes:
        step: updates made before.
        setting: dotted name.
        before, after: JSON texts.
        command: that continued the run.
    """

    step: int
    setting: str
    before: str
    after: str
    command: str


def read_changes(run: Path, problems: list[str]) -> list[Change]:
    """All recorded changes in order; what cannot be read is added to ``problems``."""
    path = run / CHANGES
    found: list[Change] = []
    for number, line in enumerate(json_lines(path) if path.is_file() else (), start=1):
        try:
            found += _changes(line)
        except (ValueError, KeyError, TypeError, OverflowError):
            problems.append(f"{CHANGES}: line {number} cannot be read")
    return found


def unrecorded(environment: Mapping[str, Any]) -> str | None:
    """What to say of a run that an older version began; None where all changes are recorded.

    Args:
        environment: of the run's environment.json.
    """
    versions = environment.get("versions")
    began = str(versions.get("vlsuite", "")) if isinstance(versions, Mapping) else ""
    if not began.startswith(_WITHOUT_RECORD):
        return None
    return (
        f"the run began with vlsuite {began}, which kept no record of settings changed when a run "
        "was continued: such changes of its time are neither in config.json nor applied again"
    )


def _changes(told: Any) -> Iterator[Change]:
    step, command = int(told["step"]), str(told["command"])
    for setting, (before, after) in dict(told["changes"]).items():
        old, new = (json.dumps(value, ensure_ascii=False) for value in (before, after))
        yield Change(step, setting, old, new, command)
