"""Which published figures can be true: a percentage of n questions is a whole number over n.

The check is arithmetic alone and our own inference; it says that a denominator is not the one
claimed, not what a model can do.
"""

from collections.abc import Sequence
from typing import NamedTuple

from eval.omnibench.leaderboard import Leaderboard, PublishedRow, published
from eval.respondents.question import SETTINGS

#: Half a unit of the second decimal, plus rounding of the float itself.
_HALF_UNIT = 0.005 + 1e-9

#: What rounding of every cell can add to a weighted mean, and of the mean to what is published.
_MEAN_TOLERANCE = 0.01 + 1e-9

_ONE_SENSE = "vlmalm"

#: Rows of the README by the name they have in the JSON.
_README_NAMES = {
    "AnyGPT (7B)": "AnyGPT 7B",
    "video-SALMONN (13B)": "video-Salmonn 13B",
    "UnifiedIO2-large (1.1B)": "UnifiedIO2-large 1.1B",
    "UnifiedIO2-xlarge (3.2B)": "UnifiedIO2-xlarge 3.2B",
    "UnifiedIO2-xxlarge (6.8B)": "UnifiedIO2-xxlarge 6.8B",
}


class AuditedRow(NamedTuple):
    """What was found about one published row.

    Attributes:
        row: the row.
        impossible: categories whose percentage is no whole number over their size.
        overall_is_possible: the same for the overall percentage and all questions.
        means: the cells' mean weighted by the sizes, by axis; empty for rows with "overall" alone.
        off: the axes whose mean is not the overall percentage.
        is_mis_keyed: the setting has sound in it, and the model has no ears.
    """

    row: PublishedRow
    impossible: tuple[str, ...]
    overall_is_possible: bool
    means: dict[str, float]
    off: tuple[str, ...]
    is_mis_keyed: bool

    @property
    def is_exact(self) -> bool:
        """Whether every cell and both weighted means agree."""
        return not self.impossible and self.overall_is_possible and not self.off

    @property
    def mark(self) -> str:
        """A short remark for tables; empty for a row without fault."""
        remarks = []
        if not self.is_exact:
            remarks.append("denominators omit questions")
        if self.is_mis_keyed:
            remarks.append("no audio encoder: probably caption and transcript")
        return "; ".join(remarks)


class Contradiction(NamedTuple):
    """Two published figures for the same model and setting."""

    model: str
    setting: str
    in_readme: float
    in_json: float


class Audit(NamedTuple):
    """The whole of it.

    Attributes:
        rows: all published rows.
        contradictions: README against JSON.
    """

    rows: tuple[AuditedRow, ...]
    contradictions: tuple[Contradiction, ...]

    @property
    def full(self) -> list[AuditedRow]:
        """Rows with all categories."""
        return [audited for audited in self.rows if audited.row.is_full]

    @property
    def bad(self) -> list[AuditedRow]:
        """Full rows that cannot be about all questions."""
        return [audited for audited in self.full if not audited.is_exact]

    @property
    def mis_keyed(self) -> list[AuditedRow]:
        """Rows under a setting that their model cannot have been in."""
        return [audited for audited in self.rows if audited.is_mis_keyed]


def is_share(percentage: float, n: int) -> bool:
    """Whether a percentage with two decimals is k / n for a whole k."""
    nearest = round(percentage * n / 100)
    return 0 <= nearest <= n and abs(100 * nearest / n - percentage) <= _HALF_UNIT


def counts_behind(percentage: float, *, at_most: int) -> list[tuple[int, int]]:
    """All (k, n) with n up to ``at_most`` in lowest terms that round to the percentage."""
    from math import gcd

    found = []
    for n in range(1, at_most + 1):
        k = round(percentage * n / 100)
        if is_share(percentage, n) and gcd(k, n) == 1:
            found.append((k, n))
    return found


def audit(leaderboard: Leaderboard | None = None) -> Audit:
    """Check every published row; None takes the stored ones."""
    board = leaderboard or published()
    return Audit(tuple(_audited(row, board) for row in board.rows), tuple(_contradictions(board)))


def _audited(row: PublishedRow, board: Leaderboard) -> AuditedRow:
    sizes = {category: n for axis in board.sizes.values() for category, n in axis.items()}
    cells = {name: value for name, value in row.cells.items() if name != "overall"}
    means = {
        axis: sum(cells[name] * n for name, n in own.items()) / board.num_questions
        for axis, own in board.sizes.items()
        if own.keys() <= cells.keys()
    }
    setting = SETTINGS[row.setting]
    return AuditedRow(
        row=row,
        impossible=tuple(name for name, value in cells.items() if not is_share(value, sizes[name])),
        overall_is_possible=is_share(row.overall, board.num_questions),
        means=means,
        off=tuple(
            axis for axis, mean in means.items() if abs(mean - row.overall) > _MEAN_TOLERANCE
        ),
        is_mis_keyed=row.kind.endswith(_ONE_SENSE) and setting.audio == "raw",
    )


def _contradictions(board: Leaderboard) -> list[Contradiction]:
    by_key = {(row.model, row.setting): row.overall for row in board.rows}
    found = []
    for name, cells in board.readme.items():
        model = _README_NAMES.get(name, name)
        for setting, value in cells.items():
            other = by_key.get((model, setting))
            if other is not None and other != value:
                found.append(Contradiction(model, setting, value, other))
    return found


def audit_lines(found: Audit) -> list[str]:
    """The audit in words."""
    full = found.full
    lines = [
        f"{len(found.rows)} published rows, {len(full)} with all categories; "
        f"{len(full) - len(found.bad)} of {len(full)} are exact: every cell k/n, both weighted "
        "means the overall",
        "",
        f"{len(found.bad)} rows cannot be about all questions:",
    ]
    lines += [f"  {line}" for audited in found.bad for line in _described(audited)]
    lines += [
        "",
        f"{len(found.mis_keyed)} rows are under a setting their model cannot have been in:",
    ]
    lines += [f"  {_named(audited)}: {audited.mark}" for audited in found.mis_keyed]
    lines += ["", f"{len(found.contradictions)} figures of the README contradict the JSON:"]
    lines += [
        f"  {c.model}, {c.setting}: {c.in_readme:.2f} against {c.in_json:.2f}"
        for c in found.contradictions
    ]
    return lines


def _described(audited: AuditedRow) -> Sequence[str]:
    means = ", ".join(f"{axis.replace('_', ' ')} {v:.2f}" for axis, v in audited.means.items())
    return (
        f"{_named(audited)}: overall {audited.row.overall:.2f}, weighted means by {means}",
        f"    no k/n: {', '.join(audited.impossible) or 'none'}",
    )


def _named(audited: AuditedRow) -> str:
    return f"{audited.row.model} ({audited.row.setting})"
