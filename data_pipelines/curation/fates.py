"""What became of samples, as tables of the database in which stages run.

``dropped`` has a row of three numbers for each sample that some stage dropped; what is in no row of
it is kept. A value, threshold or detail that follows from a sample's own columns is looked up when
fates are told. Only what does not (scores, columns of a filter's own, reasons that are details) is
stored, in ``told``: at millions of samples, storing it is most of a stage's time.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from data_pipelines.curation.filter import Rule, quoted

_TABLES = (
    "CREATE TABLE dropped (id BIGINT, stage UTINYINT, rule UTINYINT)",
    """CREATE TABLE told (id BIGINT, stage UTINYINT, rule UTINYINT,
        value DOUBLE, threshold DOUBLE, detail VARCHAR)""",
)

#: Of an expression that can be looked up: names, numbers, arithmetic.
_TOKEN = re.compile(r"\s*(?:(?P<name>[A-Za-z_]\w*)|\d+(?:\.\d+)?|[-+*/(),])")
_FUNCTIONS = frozenset(("NULL", "greatest", "least"))


class Fates:
    """The stages that ran, and what they dropped.

    Args:
        sql: runs a query; its answer has ``fetchall``.
    """

    def __init__(self, sql: Callable[[str], Any]) -> None:
        self._sql = sql
        self._names: list[str] = []
        self._rules: list[tuple[Rule, ...]] = []
        self._is_told: list[bool] = []
        for table in _TABLES:
            sql(table)

    @property
    def num_stages(self) -> int:
        """That ran."""
        return len(self._names)

    def add(self, stage: str, rules: Sequence[Rule], *, judged: str, columns: Sequence[str]) -> int:
        """Store what a stage drops; its number.

        Args:
            stage: name.
            judged: query that gives all columns of what the stage was given, and ``rule``: the
                number of the rule that drops a sample, or NULL.
            columns: of the samples themselves, that the rules may name.
        """
        number = len(self._names)
        is_told = not all(_follows(rule, columns) for rule in rules)
        if is_told:
            self._sql(_telling(number, rules, judged))
            source = f"told WHERE stage = {number}"
        else:
            self._look_up(rules)
            source = f"({judged}) WHERE rule IS NOT NULL"
        self._sql(f"INSERT INTO dropped SELECT id, {number}, rule FROM {source}")
        self._names.append(stage)
        self._rules.append(tuple(rules))
        self._is_told.append(is_told)
        return number

    def counted(self, number: int) -> dict[str, int]:
        """How many samples a stage dropped, by reason."""
        rules = self._rules[number]
        by_rule = self._sql(
            f"SELECT rule, count(*) FROM dropped WHERE stage = {number} GROUP BY rule"
        ).fetchall()
        found: Counter[str] = Counter()
        for rule, count in by_rule:
            if rules[rule].reason:
                found[rules[rule].reason] += count
        unnamed = [str(i) for i, rule in enumerate(rules) if not rule.reason]
        if unnamed:
            by_detail = self._sql(
                f"SELECT detail, count(*) FROM told WHERE stage = {number} AND "
                f"rule IN ({', '.join(unnamed)}) GROUP BY detail"
            ).fetchall()
            for detail, count in by_detail:
                found[detail] += count
        return dict(sorted(found.items(), key=lambda one: (one[0] is None, one[0])))

    def all(self) -> str:
        """A query for all samples with what became of them.

        Its columns: ``id``, ``uid``, ``shard``, ``row``, ``stage`` (name; NULL: kept), ``reason``,
        ``value``, ``threshold``, and ``detail`` where it is not the reason itself.
        """
        told = " LEFT JOIN told USING (id)" if any(self._is_told) else ""
        reason = self._chosen(lambda rule: quoted(rule.reason) if rule.reason else "told.detail")
        detail = self._known("detail", "VARCHAR")
        stages = [f"WHEN {i} THEN {quoted(name)}" for i, name in enumerate(self._names)]
        name = f"CASE dropped.stage {' '.join(stages)} END" if stages else "NULL"
        return f"""SELECT id, uid, shard, row, {name} AS stage, {reason} AS reason,
                {self._known("value", "DOUBLE")} AS value,
                {self._known("threshold", "DOUBLE")} AS threshold,
                CASE WHEN {detail} = {reason} THEN NULL ELSE {detail} END AS detail
            FROM samples LEFT JOIN dropped USING (id){told}"""

    def _known(self, field: str, kind: str) -> str:
        """A field of the rule that held, stored or looked up."""
        found = [
            f"WHEN dropped.stage = {stage} THEN told.{field}"
            for stage, is_told in enumerate(self._is_told)
            if is_told
        ]
        for stage, rules in enumerate(self._rules):
            values = [] if self._is_told[stage] else [getattr(rule, field) for rule in rules]
            found += [
                f"WHEN dropped.stage = {stage} AND dropped.rule = {rule} THEN ({value})::{kind}"
                for rule, value in enumerate(values)
                if value != "NULL"
            ]
        return f"CASE {' '.join(found)} END" if found else f"NULL::{kind}"

    def _chosen(self, told: Callable[[Rule], str]) -> str:
        cases = "".join(
            f" WHEN dropped.stage = {stage} AND dropped.rule = {number} THEN {told(rule)}"
            for stage, rules in enumerate(self._rules)
            for number, rule in enumerate(rules)
        )
        return f"CASE{cases} END" if cases else "NULL"

    def _look_up(self, rules: Sequence[Rule]) -> None:
        """Of no sample: what is wrong with the expressions is said now, not when fates are told."""
        values = [value for rule in rules for value in (rule.value, rule.threshold, rule.detail)]
        self._sql(f"SELECT {', '.join(values)} FROM given LIMIT 0" if values else "SELECT 1")


def _follows(rule: Rule, columns: Sequence[str]) -> bool:
    """Whether all that is told of a rule can be looked up in the columns of a sample."""
    fields = (rule.value, rule.threshold, rule.detail)
    return bool(rule.reason) and all(_is_plain(one, columns) for one in fields)


def _is_plain(expression: str, columns: Sequence[str]) -> bool:
    """Whether an expression is arithmetic over columns of the samples: the same at any time."""
    place = 0
    while place < len(expression):
        token = _TOKEN.match(expression, place)
        if token is None:
            return False
        if (name := token["name"]) and name not in columns and name not in _FUNCTIONS:
            return False
        place = token.end()
    return True


def _telling(number: int, rules: Sequence[Rule], judged: str) -> str:
    """The statement that stores what is told of a stage's samples."""
    return f"""INSERT INTO told
        SELECT id, {number}, rule, {_held([r.value for r in rules], "DOUBLE")},
            {_held([r.threshold for r in rules], "DOUBLE")},
            {_held([r.detail for r in rules], "VARCHAR")}
        FROM ({judged}) WHERE rule IS NOT NULL"""


def _held(values: Sequence[str], kind: str) -> str:
    """The value of the rule that held."""
    if all(value == "NULL" for value in values):
        return f"NULL::{kind}"
    cases = " ".join(f"WHEN {i} THEN ({value})::{kind}" for i, value in enumerate(values))
    return f"CASE rule {cases} END"
