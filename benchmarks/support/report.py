"""The end of every benchmark: one JSON object as the last line, and a dated file if asked for."""

import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.support.environment import Environment

_RESULTS = Path(__file__).resolve().parents[1] / "results"


def rounded(found: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Fractions to four digits; None stays None."""
    if found is None:
        return None
    return {k: round(v, 4) if isinstance(v, float) else v for k, v in found.items()}


def finish(
    name: str,
    figures: dict[str, Any],
    environment: Environment,
    *,
    config: dict[str, Any],
    save: bool,
) -> None:
    """Print ``figures`` with their provenance as the last line, after saving them if asked to.

    Args:
        name: of the benchmark module, ``loss_memory``.
        figures: what was measured; JSON values.
        config: the resolved settings of this run.
        save: also append to ``results/<name>_<hardware>_<yyyymm>.json``, a list of runs.
    """
    record = {
        "benchmark": name,
        **figures,
        "config": config,
        "command": f"python -m benchmarks.{name} {' '.join(sys.argv[1:])}".rstrip(),
        **environment.to_json(),
    }
    if save:
        print(f"saved to {_append(name, record, environment)}")
    print(json.dumps(record), flush=True)


def _append(name: str, record: dict[str, Any], environment: Environment) -> Path:
    path = _RESULTS / f"{name}_{environment.hardware.slug}_{datetime.now(UTC):%Y%m}.json"
    records = json.loads(path.read_text()) if path.exists() else []
    path.parent.mkdir(exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps([*records, record], indent=1) + "\n")
    partial.replace(path)
    return path
