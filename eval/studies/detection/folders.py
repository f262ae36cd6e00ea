"""Where everything of a detection study lies."""

from dataclasses import dataclass
from pathlib import Path

from eval.studies.detection.settings import Cell


@dataclass(frozen=True, slots=True)
class StudyFolders:
    """Paths below the folder of a study.

    Args:
        out: of the study.
    """

    out: Path

    @property
    def settings(self) -> Path:
        """What the study was begun with."""
        return self.out / "settings.json"

    @property
    def scenes(self) -> Path:
        """Pictures with boxes, and the teacher's pairs."""
        return self.out / "scenes"

    def split(self, name: str) -> Path:
        """One part of the scenes: "train", "validation", "test" or "teacher"."""
        return self.scenes / name

    @property
    def tokenizer(self) -> Path:
        """Made from the teacher's captions."""
        return self.out / "tokenizer"

    @property
    def prompts(self) -> Path:
        """Sentences of the teacher's captions, which names are put into."""
        return self.out / "prompts.txt"

    @property
    def teacher(self) -> Path:
        """Run of the teacher."""
        return self.out / "teacher"

    @property
    def teacher_facts(self) -> Path:
        """How well the teacher names crops."""
        return self.out / "teacher.json"

    @property
    def localizer(self) -> Path:
        """Run of trunk, proposals and boxes."""
        return self.out / "localizer"

    @property
    def recalls(self) -> Path:
        """How many of the objects the proposals hold."""
        return self.out / "recalls.json"

    def regions(self, form: str = "int8") -> Path:
        """The teacher's embeddings of regions."""
        return self.out / ("regions" if form == "int8" else f"regions-{form}")

    def views(self, number: int) -> Path:
        """Maps and targets of a draw of the training pictures."""
        return self.out / "views" / str(number)

    def cell(self, cell: Cell) -> Path:
        """A head."""
        return self.out / "cells" / cell.name

    def heads(self, result: str) -> list[Path]:
        """Result files of that name."""
        return sorted((self.out / "cells").glob(f"*/{result}"))

    @property
    def times(self) -> Path:
        """Seconds of each stage."""
        return self.out / "times.json"
