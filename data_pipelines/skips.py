"""What was left out of a data set, counted by reason; nothing is dropped without a count."""

from collections import Counter

#: Examples kept for each reason; every case is counted.
MAX_EXAMPLES = 20


class Skips:
    """Counts of skipped inputs with the first few examples of each reason."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._examples: dict[str, list[str]] = {}
        self._inputs: Counter[str] = Counter()

    def read(self, what: str, number: int = 1) -> None:
        """Count what was read, used or not, so that it can be held against what came of it.

        Args:
            what: of which kind ("rows of pairs.tsv").
            number: how many more.
        """
        self._inputs[what] += number

    @property
    def inputs(self) -> dict[str, int]:
        """What was read, by kind, in the order of first mention."""
        return dict(self._inputs)

    def add(self, reason: str, where: str) -> None:
        """Count one skipped input.

        Args:
            reason: short and the same for all like cases ("missing file").
            where: which input, for the list of examples.
        """
        self._counts[reason] += 1
        examples = self._examples.setdefault(reason, [])
        if len(examples) < MAX_EXAMPLES:
            examples.append(where)

    @property
    def total(self) -> int:
        """Number of skipped inputs."""
        return self._counts.total()

    @property
    def counts(self) -> dict[str, int]:
        """Number of skipped inputs by reason, sorted by reason."""
        return dict(sorted(self._counts.items()))

    @property
    def examples(self) -> dict[str, list[str]]:
        """The first skipped inputs of each reason, sorted by reason."""
        return {reason: list(found) for reason, found in sorted(self._examples.items())}
