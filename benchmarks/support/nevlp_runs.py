"""Data and trained models of ``nevlp_study``, made where they are not there yet."""

import io
import json
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from benchmarks.support.small_language_model import train_language_model
from benchmarks.support.timed_process import BenchmarkError
from data_pipelines.shards.find import find_shards
from data_pipelines.shards.index import ShardIndex
from data_pipelines.shards.pairs import captions_of
from vlsuite.cli.main import main
from vlsuite.models.folders import is_finished
from vlsuite.models.nevlp.image_tokens import ABOUT

CAPTIONS = ("clean", "partial")

#: Of the negatives after the easy part; the recipe's 5 before.
HARD_MINING_SCALE = 15.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Sizes:
    """How much is trained.

    Attributes:
        tower: duration of the CLIP that becomes the frozen image tower.
        language_steps: of the language model.
        nevlp: duration of each NEVLP model.
        easy: its part with easy negatives.
        width: of the querying transformer.
        language_width: of the language model.
        batch: pairs a step of NEVLP.
        writes: whether NEVLP also learns to write, which costs five times the rest of a step.
        views: augmented views of each training picture whose image tokens are kept.
    """

    tower: str
    language_steps: int
    nevlp: str
    easy: str
    width: int
    language_width: int
    batch: int
    writes: bool
    views: int


class Study:
    """Everything in one folder; what an earlier start finished is not made again.

    Args:
        work: the folder.
        sizes: of the trainings.
        seed: of the frozen parts.
        image_tower: run of a CLIP to freeze; None trains one on the emoji.
    """

    def __init__(self, work: Path, sizes: Sizes, *, seed: int, image_tower: Path | None) -> None:
        self._work, self.sizes, self._seed = work, sizes, seed
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

    @property
    def image_tokens(self) -> Path:
        """What the frozen tower says of the training pictures, kept for all NEVLP models."""
        return self._work / "image_tokens"

    def run(self, captions: str, *, concepts: bool, seed: int) -> Path:
        """Of a NEVLP model."""
        return self._work / f"{captions}-{'concepts' if concepts else 'plain'}-{seed}"

    def make_all(self, seeds: Sequence[int]) -> None:
        """Data, tower, language model, concepts, and four NEVLP models of each seed.

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
                width=self.sizes.language_width,
                depth=3,
                steps=self.sizes.language_steps,
                seed=self._seed,
            )
        if not (self.image_tokens / ABOUT).exists():
            words = _words(self._of_tower() | {"data.train": self.data / "train"})
            views = ("--views", self.sizes.views)
            _vlsuite("data", "image-tokens", *words, *views, "--out", self.image_tokens)
        for captions in CAPTIONS:
            for concepts in (True, False):
                for seed in seeds:
                    self.make_model(captions, concepts=concepts, seed=seed)

    def _make_tower(self) -> None:
        if is_finished(self.image_tower):
            return
        tokenizer = self._work / "tokenizer"
        train = self.data / "train"
        _vlsuite("data", "tokenizer", train, "--vocab-size", 2048, "--out", tokenizer)
        settings: dict[str, object] = {
            "model.tokenizer": tokenizer,
            "data.train": train,
            "duration": self.sizes.tower,
        }
        self._train("emoji", self.image_tower, settings, seed=self._seed)

    def _of_tower(self) -> dict[str, object]:
        return {"model.image_tower.name": f"local-dir:{self.image_tower / 'export'}"}

    def make_model(self, captions: str, *, concepts: bool, seed: int) -> None:
        """One NEVLP model; its frozen parts, concepts and image tokens are there or made.

        Matching begins with easy negatives and goes on with hard ones: a head that starts from
        nothing learns nothing of pairs that nearly belong together.
        """
        out = self.run(captions, concepts=concepts, seed=seed)
        finished = out.with_name(f"{out.name}.finished")
        if finished.exists():
            return
        settings = self._of_model(captions, concepts=concepts)
        easy = {"duration": self.sizes.easy, "optim.schedule": "constant"}
        if not _has_duration(out, self.sizes.nevlp):
            self._train("nevlp", out, settings | easy, seed=seed)
        hard = {"duration": self.sizes.nevlp, "optim.schedule": "cosine"}
        hard |= {"model.mining_scale": HARD_MINING_SCALE}
        self._train("nevlp", out, settings | hard, seed=seed)
        finished.touch()

    def _of_model(self, captions: str, *, concepts: bool) -> dict[str, object]:
        """Settings; the concepts are words of the captions trained on."""
        shards, width = self.train_shards(captions), self.sizes.width
        settings: dict[str, object] = self._of_tower() | {
            "data.image_tokens": self.image_tokens,
            "model.language_model": self.language_model,
            "model.querying.width": width,
            "model.querying.num_queries": 4,
            "model.querying.dropout": 0.1,
            "model.embed_dim": width,
            "objective.itg_weight": float(self.sizes.writes),
            "optim.lr": 1e-3,
            "global_batch_size": self.sizes.batch,
            "data.train": shards,
        }
        if concepts:
            tags = self._work / f"concepts-{captions}.jsonl"
            if not tags.exists():
                named = ("--model", self.image_tower, "--from-captions", 20)
                _vlsuite("data", "concepts", shards, *named, "--out", tags)
            settings |= {"data.concepts": tags, "model.concepts": tags}
        return settings

    def _train(self, recipe: str, out: Path, settings: dict[str, object], *, seed: int) -> None:
        settings = {
            "seed": seed,
            "threads": 1,
            "data.num_workers": 0,
            "checkpoint.every": "8epochs",
            **settings,
        }
        _vlsuite("train", recipe, "--auto-resume", "--out", out, *_words(settings))

    def _documents(self) -> Iterator[tuple[str, ...]]:
        """Training captions, those of a picture together."""
        for path in find_shards([self.data / "train"]):
            index = ShardIndex.open(path)
            for row in range(len(index)):
                yield captions_of(index.read(row), one_per_line=False)


def _has_duration(run: Path, duration: str) -> bool:
    config = run / "config.json"
    return config.is_file() and json.loads(config.read_text())["config"]["duration"] == duration


def _words(settings: dict[str, object]) -> list[str]:
    return [word for k, v in settings.items() for word in ("--set", f"{k}={v}")]


def _vlsuite(*words: object) -> None:
    """Run the product's own command in this process, which has imported everything already."""
    arguments = [str(word) for word in words]
    print(f"$ vlsuite {' '.join(arguments[:3])} ...", flush=True)
    with redirect_stdout(io.StringIO()):
        code = main(arguments)
    if code:
        raise BenchmarkError(f"'vlsuite {' '.join(arguments)}' failed with {code}; see above")
