"""Data and models of the XMAI benchmark: given ones, or made and trained where they are absent."""

import argparse
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from benchmarks.support import xmai_runs
from benchmarks.support.emoji_attributes import write_stripped_shards
from benchmarks.support.small_masked_lm import captions_of, train_masked_lm
from data_pipelines.schema import Sample
from data_pipelines.shards.write import write_pairs
from data_pipelines.skips import Skips
from data_pipelines.sources.emoji import EmojiSource
from data_pipelines.sources.source import Target
from data_pipelines.sources.synthetic import SyntheticSource
from eval.data.folders import open_dataset
from eval.xmai.attributes import GROUPS

#: Attributes a tagger is asked about: those that names speak of. Size is no property of a picture
#: with one thing in it.
ASKED_GROUPS = ("colour", "skin_tone")

# Colours are what is asked about, so training must not change them.
_AUGMENT = (
    "data.augment.color_jitter=0",
    "data.augment.grayscale_probability=0",
    "data.augment.outline_probability=0",
)
_QUICK = ("duration=4epochs", "global_batch_size=32", "optim.warmup_steps=5", "threads=1")
_QUICK_PAIRS, _QUICK_STEPS, _STEPS = {"train": 256, "unseen": 60}, 40, 3000


class Setup(NamedTuple):
    """What is measured on, and with what.

    Attributes:
        train: pairs that the models were trained on.
        unseen: pairs for the fall in retrieval.
        named: sets whose captions name attributes, without them.
        groups: the attributes a tagger is asked about.
    """

    work: Path
    train: Path
    unseen: Path
    named: dict[str, Path]
    scorer: Path
    victim: Path
    masked_lm: Path
    groups: Path


def set_up(args: argparse.Namespace, work: Path) -> Setup:
    """Everything, kept in ``work`` where it is there already.

    Raises:
        UserError: data or a training fail.
    """
    train, unseen, named = _data(args, work)
    settings = (*_AUGMENT, *(_QUICK if args.quick else (f"duration={args.epochs}epochs",)))
    given = {"scorer": args.scorer, "victim": args.victim}
    clips = given | _trained([n for n in given if given[n] is None], train, work, settings)
    masked_lm = args.masked_lm or work / "masked-lm"
    if not (masked_lm / "config.json").is_file():
        steps = _QUICK_STEPS if args.quick else _STEPS
        train_masked_lm(masked_lm, captions_of([str(train)]), steps=steps)
    groups = work / "groups.json"
    groups.write_text(json.dumps({name: GROUPS[name] for name in ASKED_GROUPS}))
    stripped = {name: work / f"stripped-{name}" for name in named}
    for name, source in named.items():
        if not stripped[name].is_dir():
            write_stripped_shards(open_dataset(str(source), task="retrieval"), stripped[name])
    scorer, victim = clips["scorer"], clips["victim"]
    return Setup(work, train, unseen, stripped, scorer, victim, masked_lm, groups)


def _trained(
    names: Sequence[str], train: Path, work: Path, settings: Sequence[str]
) -> dict[str, Path]:
    """CLIPs with seeds of their own, two processes at a time."""
    if not names:
        return {}
    tokenizer = work / "tokenizer"
    if not tokenizer.is_dir():
        words = ("data", "tokenizer", train, "--vocab-size", 2048, "--out", tokenizer)
        xmai_runs.run_command(work / "tokenizer.log", *words)
    with ThreadPoolExecutor(2) as pool:
        jobs = {
            name: pool.submit(
                xmai_runs.train_clip, work / name, train, tokenizer, seed=seed, settings=settings
            )
            for seed, name in enumerate(names)
        }
        return {name: job.result() for name, job in jobs.items()}


def _data(args: argparse.Namespace, work: Path) -> tuple[Path, Path, dict[str, Path]]:
    """Pairs to train on, unseen pairs, and sets whose captions name attributes."""
    if args.quick:
        for seed, (name, count) in enumerate(_QUICK_PAIRS.items()):
            if not (work / name).is_dir():
                shapes = _coloured_shapes(count, seed=args.seed + seed)
                write_pairs(shapes, work / name)
        return work / "train", work / "unseen", {"shapes": work / "unseen"}
    folder = args.data or work / "emoji"
    if not folder.is_dir():
        EmojiSource(seed=args.seed).build(Target(out_dir=folder))
    named = {"emoji": folder / "unseen_compositions", "new_emoji": folder / "unseen_emoji"}
    if args.stamps is not None:
        named["stamps"] = args.stamps
    return folder / "train", folder / "unseen_compositions", named


def _coloured_shapes(count: int, *, seed: int) -> Iterator[Sample]:
    """Drawn shapes that are called "a red circle top left", without their ground and size."""
    source = SyntheticSource(num_samples=count, side=48, seed=seed)
    for sample in source.samples(Skips()):
        _, _, rest = sample.captions[0].split(" ", 2)
        yield replace(sample, captions=(f"a {rest.partition(' on ')[0]}",))
