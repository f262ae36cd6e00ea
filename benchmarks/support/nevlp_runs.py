"""Data and trained models of ``nevlp_study``, made where they are not there yet."""

import io
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from benchmarks.support.small_language_model import train_language_model
from benchmarks.support.timed_process import BenchmarkError
from data_pipelines.shards.find import find_shards
from data_pipelines.shards.index import ShardIndex
from data_pipelines.shards.pairs import captions_of
from vlsuite.cli.main import main

CAPTIONS = ("clean", "partial")


@dataclass(frozen=True, kw_only=True, slots=True)
class Sizes:
    """How much is trained.

    Attributes:
        tower: duration of the CLIP that becomes the frozen image tower.
        language_steps: of the language model.
        nevlp: duration of each NEVLP model.
        width: of the language model and of the querying transformer.
    """

    tower: str
    language_steps: int
    nevlp: str
    width: int


class Study:
    """Everything in one folder; what an earlier start finished is not made again.

    Args:
        work: the folder.
        sizes: of the trainings.
        seed: of all of them.
        image_tower: run of a CLIP to freeze; None trains one on the emoji.
    """

    def __init__(self, work: Path, sizes: Sizes, *, seed: int, image_tower: Path | None) -> None:
        self._work, self._sizes, self._seed = work, sizes, seed
        self._given_tower = image_tower

    @property
    def data(self) -> Path:
        """Of the emoji as they are."""
        return self._work / "emoji"

    @property
    def language_model(self) -> Path:
        """Trained on the training captions alone."""
        return self._work / "language_model"

    @property
    def image_tower(self) -> Path:
        """Run of the frozen CLIP."""
        return self._given_tower or self._work / "tower"

    def train_shards(self, captions: str) -> Path:
        """Of the training set with "clean" or "partial" captions."""
        return self.data / "train" if captions == "clean" else self._work / "partial"

    def run(self, captions: str, *, concepts: bool) -> Path:
        """Of a NEVLP model."""
        return self._work / f"{captions}-{'concepts' if concepts else 'plain'}"

    def make_all(self) -> None:
        """Data, tower, language model, concepts, and the four NEVLP models.

        Raises:
            BenchmarkError: a command of vlsuite failed.
        """
        if not (self.data / "manifest.json").exists():
            _vlsuite("data", "build", "emoji", "--out", self.data)
        partial = self.train_shards("partial")
        if not (partial / "manifest.json").exists():
            noise = ("--partial", "1.0", "--kind", "delete", "--seed", self._seed)
            _vlsuite("data", "noise", self.data / "train", *noise, "--out", partial)
        self._make_tower()
        if not (self.language_model / "tokenizer.json").exists():
            train_language_model(
                self.language_model,
                list(self._documents()),
                vocab_size=2048,
                width=self._sizes.width,
                depth=3,
                steps=self._sizes.language_steps,
                seed=self._seed,
            )
        for captions in CAPTIONS:
            self._make_pair_of_models(captions)

    def _make_tower(self) -> None:
        if (self.image_tower / "export").exists():
            return
        tokenizer = self._work / "tokenizer"
        train = self.data / "train"
        _vlsuite("data", "tokenizer", train, "--vocab-size", 2048, "--out", tokenizer)
        settings: dict[str, object] = {
            "model.tokenizer": tokenizer,
            "data.train": train,
            "duration": self._sizes.tower,
        }
        self._train("emoji", self.image_tower, settings)

    def _make_pair_of_models(self, captions: str) -> None:
        """With concepts and without; the concepts are words of the captions trained on."""
        shards, tags = self.train_shards(captions), self._work / f"concepts-{captions}.jsonl"
        if not tags.exists():
            named = ("--model", self.image_tower, "--from-captions", 20)
            _vlsuite("data", "concepts", shards, *named, "--out", tags)
        width = self._sizes.width
        settings: dict[str, object] = {
            "model.image_tower.name": f"local-dir:{self.image_tower / 'export'}",
            "model.language_model": self.language_model,
            "model.querying.width": width,
            "model.embed_dim": width,
            "data.train": shards,
            "duration": self._sizes.nevlp,
        }
        for concepts in (True, False):
            own: dict[str, object] = {}
            if concepts:
                own = {"data.concepts": tags, "model.concepts": tags}
            out = self.run(captions, concepts=concepts)
            if not (out / "export" / "nevlp_config.json").exists():
                self._train("nevlp", out, settings | own)

    def _train(self, recipe: str, out: Path, settings: dict[str, object]) -> None:
        settings = {
            "seed": self._seed,
            "threads": 1,
            "data.num_workers": 0,
            "checkpoint.every": "2epochs",
            **settings,
        }
        words = [word for k, v in settings.items() for word in ("--set", f"{k}={v}")]
        _vlsuite("train", recipe, "--auto-resume", "--out", out, *words)

    def _documents(self) -> Iterator[tuple[str, ...]]:
        """Training captions, those of a picture together."""
        for path in find_shards([self.data / "train"]):
            index = ShardIndex.open(path)
            for row in range(len(index)):
                yield captions_of(index.read(row), one_per_line=False)


def _vlsuite(*words: object) -> None:
    """Run the product's own command in this process, which has imported everything already."""
    arguments = [str(word) for word in words]
    print(f"$ vlsuite {' '.join(arguments[:3])} ...", flush=True)
    with redirect_stdout(io.StringIO()):
        code = main(arguments)
    if code:
        raise BenchmarkError(f"'vlsuite {' '.join(arguments)}' failed with {code}; see above")
