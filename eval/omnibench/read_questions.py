"""Read a question set, whichever form it is stored in."""

from collections import Counter
from pathlib import Path

from eval.errors import EvaluationError
from eval.omnibench import github_form, hub_form
from eval.omnibench.question_set import QuestionSet

_HUB_PREFIX = "hf:"


def read_questions(path: Path | str) -> QuestionSet:
    """Read a question set in the GitHub or the hub form.

    Args:
        path: folder with ``dataset/*.jsonl`` and ``mm_data``, one such ``.jsonl`` file, a Parquet
            file or a folder of them, or ``hf:OWNER/NAME`` for a data set on the Hugging Face hub.

    Raises:
        EvaluationError: there is no such thing, it has another form, or no record is usable.
    """
    text = str(path)
    if text.startswith(_HUB_PREFIX):
        found = hub_form.read_hub(text.removeprefix(_HUB_PREFIX))
    else:
        found = _read_local(Path(path))
    if not found.questions:
        kinds = Counter(problem.kind for problem in found.problems)
        told = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(3)) or "no records"
        first = f"; first: {found.problems[0].where}" if found.problems else ""
        raise EvaluationError(f"{text} holds no usable question ({told}{first})")
    return found


def _read_local(path: Path) -> QuestionSet:
    if not path.exists():
        raise EvaluationError(
            f"no questions at {path}; give OmniBench's folder (dataset/*.jsonl and mm_data), its "
            "Parquet files, or hf:m-a-p/OmniBench"
        )
    if path.suffix.lower() in {".xlsx", ".xls"}:
        raise EvaluationError(
            f"{path} is a spreadsheet, which is not read; use the published jsonl with mm_data, or "
            "Parquet files"
        )
    if path.suffix == ".jsonl":
        return github_form.read_github([path])
    if path.suffix == ".parquet":
        return hub_form.read_parquet([path], name=path.stem)
    if path.is_dir():
        records = sorted(path.glob("dataset/*.jsonl")) or sorted(path.glob("*.jsonl"))
        if records:
            return github_form.read_github(records)
        tables = sorted(path.rglob("*.parquet"))
        if tables:
            return hub_form.read_parquet(tables, name=path.resolve().name)
    raise EvaluationError(
        f"{path} has neither dataset/*.jsonl nor Parquet files; give OmniBench's folder"
    )
