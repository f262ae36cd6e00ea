"""The published baselines by their own code: TextAttack's augmenters in another process."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from data_pipelines.bounded_json import parsed_json
from data_pipelines.text_lines import lines_of
from eval.errors import EvaluationError
from eval.xmai.perturbers.contract import PerturberOptions, perturbers
from eval.xmai.perturbers.textattack_worker import RECIPES

_WORKER = Path(__file__).with_name("textattack_worker.py")
_LONGEST_REASON = 200


class TextAttackPerturber:
    """One augmenter of TextAttack (Morris et al. 2020, arXiv 2005.05909), seeded per row.

    TextAttack wants older packages than we do, and downloads word lists: it runs in an
    interpreter of its own.

    Args:
        recipe: eda, checklist, clare, deletion, embedding or wordnet.
        python: interpreter that has TextAttack; None: this one.
    """

    def __init__(self, recipe: str, python: str | None) -> None:
        if recipe not in RECIPES:
            raise EvaluationError(
                f"unknown recipe textattack:{recipe}; choose {', '.join(sorted(RECIPES))}"
            )
        self._recipe = recipe
        self._python = python or sys.executable

    def perturb(self, caption: str, *, row_id: str, seed: int) -> str:
        """See ``Perturber``."""
        return self.perturb_many([caption], row_ids=[row_id], seed=seed)[0]

    def perturb_many(
        self, captions: Sequence[str], *, row_ids: Sequence[str], seed: int
    ) -> list[str]:
        """See ``BatchPerturber``.

        Raises:
            EvaluationError: TextAttack, or what it downloads, is missing.
        """
        if not captions:
            return []
        rows = [
            json.dumps({"text": caption, "key": _key(self._recipe, row_id, seed)})
            for caption, row_id in zip(captions, row_ids, strict=True)
        ]
        try:
            done = subprocess.run(
                [self._python, str(_WORKER), self._recipe],
                input="\n".join(rows) + "\n",
                capture_output=True,
                text=True,
            )
        except OSError as error:
            raise EvaluationError(f"cannot start {self._python}: {error.strerror}") from error
        found = [parsed_json(line) for line in lines_of(done.stdout)]
        if done.returncode or len(found) != len(captions):
            reason = _reason(done.stderr)
            raise EvaluationError(
                f"textattack:{self._recipe} did not run in {self._python}; install textattack "
                f"there, and its word lists while there is a network ({reason})"
            )
        return found


def _reason(errors: str) -> str:
    """The line that says what is missing, nltk's of the resource first; else the last one."""
    lines = [line.strip() for line in errors.splitlines() if line.strip(" *\n")]
    telling = [line for line in lines if line.startswith(("Resource ", "ModuleNotFoundError"))]
    return ([*telling, *reversed(lines)] or ["it said nothing"])[0][:_LONGEST_REASON]


def _key(recipe: str, row_id: str, seed: int) -> int:
    text = f"{recipe}\0{seed}\0{row_id}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "little")


@perturbers.register("textattack:")
def build(options: PerturberOptions) -> TextAttackPerturber:
    """From options; ``rest`` is the recipe."""
    return TextAttackPerturber(options.rest, options.textattack_python)
