"""Are inserted attributes true, and what do they do to a model? With the text-only baselines.

Captions of emoji (and stamps, where the shard is there) say colours and skin tones; these are taken
out, so that the truth is known, and the generator puts attributes back that a tagger saw in the
picture. Then captions of emoji that no model has seen in training are perturbed by the generator
and by the baselines, and a CLIP that the generator never used is asked to find their pictures.

    python -m benchmarks.xmai_precision --quick
    python -m benchmarks.xmai_precision --work /tmp/xmai --scorer runs/a --victim runs/b

Without --scorer and --victim two CLIPs are trained here, with other seeds (about five minutes
each). The scorer is the tagger too; "white_box" is the fall of the scorer itself.
"""

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import xmai_goals, xmai_runs
from benchmarks.emoji_attributes import write_stripped_shards
from benchmarks.environment import describe
from benchmarks.report import finish
from benchmarks.small_masked_lm import captions_of, train_masked_lm
from benchmarks.timed_process import work_folder
from benchmarks.xmai_goals import Goal
from data_pipelines.errors import UserError
from data_pipelines.sources.emoji import EmojiSource
from data_pipelines.sources.source import Target
from data_pipelines.sources.synthetic import SyntheticSource
from eval.folders import open_dataset
from eval.results import Score
from eval.xmai.attributes import GROUPS
from eval.xmai.quality import quality
from eval.xmai.upstream import KNOWN

_BASELINES = ("deletion", "eda", "typo", "contractions", "masked_insert", "masked_replace")
_QUICK_BASELINES = ("deletion", "typo")
_FALLS = {"drop_r1": "text_to_image_recall_at_1_drop", "drop_mrr": "text_to_image_mrr_drop"}
#: Attributes a tagger is asked about: those that names speak of. Size is no property of a picture
#: with one thing in it.
_GROUPS = ("colour", "skin_tone")

_AUGMENT = ("data.augment.color_jitter=0", "data.augment.grayscale_probability=0",
            "data.augment.outline_probability=0")  # fmt: skip
_QUICK = ("duration=3epochs", "global_batch_size=64", "optim.warmup_steps=5", "threads=1")


class Setup(NamedTuple):
    """What is measured on, and with what."""

    work: Path
    unseen: Path
    named: dict[str, Path]
    scorer: Path
    victim: Path
    masked_lm: Path
    groups: Path


def main() -> int:
    """Run the measurement; returns the exit code."""
    args = _parse()
    environment = describe()
    try:
        if args.work is not None:
            args.work.mkdir(parents=True, exist_ok=True)
            figures = _measure(args, args.work.resolve())
        else:
            with work_folder("xmai_precision", parent=None) as work:
                figures = _measure(args, work)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    config = {k: str(v) if isinstance(v, Path) else v for k, v in vars(args).items()}
    finish("xmai_precision", figures, environment, config=config, save=args.save)
    return 0


def _measure(args: argparse.Namespace, work: Path) -> dict[str, Any]:
    setup = _setup(args, work)
    found = _precisions(setup, args)
    files, seconds = _perturbed(setup, args)
    falls = _falls(setup, files, args.seed)
    figures = _figures(found, files, seconds, falls)
    goals = _goals(setup, args, files, falls["victim"], seconds)
    print(_table(figures))
    print()
    print(xmai_goals.goal_table(goals))
    return figures | {"goals": [goal._asdict() for goal in goals]}


def _setup(args: argparse.Namespace, work: Path) -> Setup:
    train, unseen, named = _data(args, work)
    settings = (*_AUGMENT, *_QUICK) if args.quick else (*_AUGMENT, f"duration={args.epochs}epochs")
    clips = {
        name: given or xmai_runs.train_clip(work / name, train, seed=seed, settings=settings)
        for name, given, seed in (("scorer", args.scorer, 0), ("victim", args.victim, 1))
    }
    masked_lm = args.masked_lm or work / "masked-lm"
    if not (masked_lm / "config.json").is_file():
        captions = captions_of([str(train)])
        train_masked_lm(masked_lm, captions, steps=60 if args.quick else 3000)
    groups = work / "groups.json"
    groups.write_text(json.dumps({name: GROUPS[name] for name in _GROUPS}))
    stripped = {}
    for name, source in named.items():
        stripped[name] = work / f"stripped-{name}"
        if not stripped[name].is_dir():
            write_stripped_shards(open_dataset(str(source), task="retrieval"), stripped[name])
    return Setup(work, unseen, stripped, clips["scorer"], clips["victim"], masked_lm, groups)


def _data(args: argparse.Namespace, work: Path) -> tuple[Path, Path, dict[str, Path]]:
    """Pairs to train on, unseen pairs, and sets whose captions name attributes."""
    if args.quick:
        for name, count, seed in (("train", 600, args.seed), ("unseen", 100, args.seed + 1)):
            if not (work / name).is_dir():
                source = SyntheticSource(num_samples=count, side=48, seed=seed)
                source.build(Target(out_dir=work / name))
        return work / "train", work / "unseen", {"shapes": work / "unseen"}
    folder = args.data or work / "emoji"
    if not folder.is_dir():
        EmojiSource(seed=args.seed).build(Target(out_dir=folder))
    named = {"emoji": folder / "unseen_compositions", "new_emoji": folder / "unseen_emoji"}
    if args.stamps.is_file():
        named["stamps"] = args.stamps
    return folder / "train", folder / "unseen_compositions", named


def _precisions(setup: Setup, args: argparse.Namespace) -> dict[str, Any]:
    """Precision by method and set: the generator, and a random attribute that was detected."""
    methods = {
        "xmai": ("--confidence", args.confidence),
        "random_attribute": ("--confidence", 0),
        "random_word": ("--confidence", 0),
    }
    found: dict[str, Any] = {method: {} for method in methods}
    for name, data in setup.named.items():
        seen = _detections(setup, data, name)
        uniform = _uniform(setup, seen, name, args.seed)
        for method, options in methods.items():
            given = uniform if method == "random_word" else seen
            path, _ = xmai_runs.perturb(
                setup.work / f"named-{name}-{method}",
                data,
                "xmai" if method == "xmai" else "random_attribute",
                ("--detections", given, "--scorer", setup.scorer, "--groups", setup.groups,
                 "--blocked", "race-words", "--seed", args.seed, *options),
            )  # fmt: skip
            captions = xmai_runs.captions_in(path)
            found[method][name] = xmai_runs.precision(captions, data, seed=args.seed)
    return found


def _detections(setup: Setup, data: Path, name: str) -> Path:
    path = setup.work / f"seen-{name}.jsonl"
    xmai_runs.run_command(
        setup.work / "detect.log", "xmai", "detect", data, "--tagger", setup.scorer,
        "--groups", setup.groups, "--template", "{}", "--out", path,
    )  # fmt: skip
    return path


def _uniform(setup: Setup, seen: Path, name: str, seed: int) -> Path:
    """The same detections with an attribute drawn at random from its group: no look at pictures."""
    import random

    rng = random.Random(seed)
    of_word = {word: own for group in _GROUPS for own in [GROUPS[group]] for word in own}
    lines, done = [], set()
    for line in seen.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        group = of_word.get(record["attribute"])
        key = (record["uid"], record["name"], group)
        if group is None or key in done:
            continue
        done.add(key)
        lines.append(json.dumps(record | {"attribute": rng.choice(group)}))
    path = setup.work / f"drawn-{name}.jsonl"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _perturbed(setup: Setup, args: argparse.Namespace) -> tuple[dict[str, Path], dict[str, float]]:
    """Unseen captions by every method: default, as published (any adjective), and baselines."""
    seen = _detections(setup, setup.unseen, "unseen")
    models = ("--detections", seen, "--scorer", setup.scorer, "--seed", args.seed)
    chosen = {
        "xmai": ("xmai", models),
        "xmai_skin": ("xmai", (*models, "--blocked", "race-words")),
        "xmai_published": (
            "xmai", (*models, "--masked-lm", setup.masked_lm, "--truth", "none", "--weights", "paper"),
        ),
        "random_attribute": ("random_attribute", models),
    }  # fmt: skip
    if args.quick:
        del chosen["xmai_skin"]
    text_only = ("--seed", args.seed, "--masked-lm", setup.masked_lm)
    for name in _QUICK_BASELINES if args.quick else (*_BASELINES, *_with_words(args)):
        extra = ("--wordnet", args.wordnet) if args.wordnet else ()
        if name.startswith("textattack:"):
            extra = ("--textattack-python", args.textattack_python)
        chosen[name] = (name, (*text_only, *extra))
    files, seconds = {}, {}
    for name, (method, options) in chosen.items():
        try:
            out = setup.work / f"unseen-{name.replace(':', '-')}"
            files[name], seconds[name] = xmai_runs.perturb(out, setup.unseen, method, options)
        except UserError as error:
            print(f"not measured: {name}: {error}", file=sys.stderr)
    return files, seconds


def _with_words(args: argparse.Namespace) -> Sequence[str]:
    recipes = ("textattack:deletion", "textattack:checklist") if args.textattack_python else ()
    return ("synonym", *recipes)


def _falls(setup: Setup, files: Mapping[str, Path], seed: int) -> dict[str, Any]:
    from vlsuite.models.loading import load_clip

    victim, scorer = (load_clip(str(folder)) for folder in (setup.victim, setup.scorer))
    if victim.fingerprint == scorer.fingerprint:
        raise UserError("--scorer and --victim are the same model; give two trainings")
    own = {name: path for name, path in files.items() if name.startswith("xmai")}
    return {
        "victim": xmai_runs.falls(victim, setup.unseen, files, seed=seed),
        "white_box": xmai_runs.falls(scorer, setup.unseen, own, seed=seed),
    }


def _figures(
    found: Mapping[str, Any],
    files: Mapping[str, Path],
    seconds: Mapping[str, float],
    falls: Mapping[str, Any],
) -> dict[str, Any]:
    rows: dict[str, Any] = {}
    for name, path in files.items():
        captions = xmai_runs.captions_in(path)
        kept = quality(captions)["subsequence_share"].value
        is_ours = name.startswith("xmai") or name == "random_attribute"
        rows[name] = {
            "insertion_only": xmai_goals.insertion_only_share(captions) if is_ours else kept,
            "changed": sum(c.is_changed for c in captions) / len(captions),
            "captions_per_s": len(captions) / seconds[name],
        }
        for key, score in _FALLS.items():
            rows[name][key] = _plain(falls["victim"][name][score])
    precisions = {
        method: {name: _precision(own) for name, own in sets.items()}
        for method, sets in found.items()
    }
    white_box = {
        name: {key: _plain(scores[score]) for key, score in _FALLS.items()}
        for name, scores in falls["white_box"].items()
    }
    return {
        **rows["xmai"],
        "attribute_precision": precisions["xmai"],
        "precision_of_random": {
            name: precisions[name] for name in ("random_attribute", "random_word")
        },
        "white_box": white_box,
        "baselines": {name: row for name, row in rows.items() if name != "xmai"},
    }


def _precision(own: xmai_runs.Precision) -> dict[str, Any]:
    score = None if own.score is None else _plain(own.score)
    groups = {group: {"right": r, "n": n} for group, (r, n) in own.by_group.items()}
    return {"precision": score, "groups": groups, "without_truth": own.num_unknown}


def _plain(score: Score) -> dict[str, float]:
    return {
        "value": round(score.value, 5),
        "low": round(score.low, 5),
        "high": round(score.high, 5),
        "n": score.n,
    }


def _goals(
    setup: Setup,
    args: argparse.Namespace,
    files: Mapping[str, Path],
    scores: Mapping[str, Mapping[str, Score]],
    seconds: Mapping[str, float],
) -> list[Goal]:
    ours = [c for name in ("xmai", "xmai_published") for c in xmai_runs.captions_in(files[name])]
    share = xmai_goals.insertion_only_share(ours)
    residue, people = xmai_goals.num_with_residue(ours), xmai_goals.num_coloured_people(ours)
    num_insertions = sum(len(caption.insertions) for caption in ours)
    fake_speed = _fake_speed(setup, args)
    real_speed = len(xmai_runs.captions_in(files["xmai_published"])) / seconds["xmai_published"]
    seen = ("--detections", setup.work / "seen-unseen.jsonl", "--scorer", setup.scorer,
            "--seed", args.seed)  # fmt: skip
    two, _ = xmai_runs.perturb(
        setup.work / "two-workers", setup.unseen, "xmai", (*seen, "--workers", 2)
    )
    chunks = -(-len(open_dataset(str(setup.unseen), task="retrieval")) // 32)
    again = xmai_runs.killed_and_resumed(setup.work / "killed", setup.unseen, seen, chunks=chunks)
    digests = [xmai_runs.digest_of(path) for path in (files["xmai"], two, again)]
    names = scores["xmai"]
    has_all = all(
        f"{kind}{way}_{figure}_drop" in names
        for kind in ("", "batched_")
        for way in ("text_to_image", "image_to_text")
        for figure in ("mrr", "recall_at_1", "recall_at_5", "recall_at_10")
    )
    num_metrics = len(quality(ours[: len(ours) // 2]))
    known = KNOWN["snli_ve", "xmai"]
    upstream_share = known["insertion_only"] / known["rows"]
    return [
        Goal(1, "insertion-only rows", f"{upstream_share:.1%}", "100%", f"{share:.2%} of {len(ours)}",
             share == 1.0),
        Goal(2, "special tokens, fused pieces", "12 masks, many", "0", str(residue), residue == 0),
        Goal(3, "white/black before a person", "23.0%", "0 by default",
             f"{people} of {num_insertions}", people == 0),
        Goal(4, "captions/s: fakes, one CPU core", "3.1 on a GPU", "1,000",
             f"{fake_speed:,.0f} (with CLIP and BERT here: {real_speed:.1f})", fake_speed >= 1000),
        Goal(4, "captions/s: COCO settings, GPU", "3.1", "30", "no GPU here", None),
        Goal(5, "runs without GPU or downloads", "no", "yes", "this run", True),
        Goal(6, "same bytes, 1 and 2 workers", "not promised", "identical",
             "identical" if digests[0] == digests[1] else "differ", digests[0] == digests[1]),
        Goal(7, "both ways, R@k, full and batched", "MRR in 1k batches", "all",
             f"{len(names)} scores", has_all),
        Goal(8, "quality metrics with intervals", "4", "8", f"{num_metrics} without a model",
             num_metrics >= 8),
        Goal(9, "killed at half, resumed", "loses everything", "no row lost",
             "identical" if digests[0] == digests[2] else "differ", digests[0] == digests[2]),
        xmai_goals.f1_goal(),
    ]  # fmt: skip


def _fake_speed(setup: Setup, args: argparse.Namespace) -> float:
    """Words from given detections, no model at all; the program's start is not counted."""
    data = next(iter(setup.named.values())) if args.quick else args.data or setup.work / "emoji"
    data = data if args.quick else data / "train"
    seen = setup.work / "given.jsonl"
    dataset = open_dataset(str(data), task="retrieval")
    assert dataset.captions is not None
    from eval.xmai.records import uids_of

    with seen.open("w", encoding="utf-8") as file:
        for uid, captions in zip(uids_of(dataset), dataset.captions, strict=True):
            for word in captions[0].split():
                record = {"uid": uid, "name": word, "attribute": "small", "score": 1.0,
                          "attribute_score": 1.0}  # fmt: skip
                file.write(json.dumps(record) + "\n")
    begun = time.perf_counter()
    path, seconds = xmai_runs.perturb(
        setup.work / "fakes", data, "xmai", ("--detections", seen, "--seed", args.seed)
    )
    assert time.perf_counter() >= begun
    return len(xmai_runs.captions_in(path)) / seconds


def _table(figures: Mapping[str, Any]) -> str:
    lines = [f"{'method':22} {'unchanged but for insertions':>28} {'fall in R@1, points':>28} "
             f"{'fall in MRR, points':>28} {'captions/s':>11}"]  # fmt: skip
    rows = {"xmai": figures, **figures["baselines"]}
    for name, row in rows.items():
        falls = "".join(
            f" {100 * f['value']:+.2f} ({100 * f['low']:+.2f} to {100 * f['high']:+.2f})".rjust(29)
            for f in (row["drop_r1"], row["drop_mrr"])
        )
        lines.append(
            f"{name:22} {row['insertion_only']:>28.1%}{falls} {row['captions_per_s']:>11.1f}"
        )
    lines.append("\nprecision of inserted attributes, against the words taken out")
    every = {"xmai": figures["attribute_precision"], **figures["precision_of_random"]}
    for method, sets in every.items():
        for name, own in sets.items():
            score = own["precision"]
            shown = (
                "no attribute with a known truth"
                if score is None
                else (
                    f"{score['value']:.1%} ({score['low']:.1%} to {score['high']:.1%}), n = {score['n']}"
                )
            )
            lines.append(f"{method:22} {name:12} {shown}")
    return "\n".join(lines)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--data", type=Path, metavar="DIR", help="of 'vlsuite data build emoji' (default: built)")
    add("--stamps", type=Path, default=Path("../shared/data/stamps-000000.tar"), metavar="TAR")
    add("--scorer", type=Path, metavar="RUN", help="CLIP of the generator (default: trained)")
    add("--victim", type=Path, metavar="RUN", help="CLIP that is measured (default: trained)")
    add("--masked-lm", type=Path, metavar="DIR", help="(default: trained)")
    add("--wordnet", metavar="DIR", help="WordNet's files, for eda and synonym")
    add("--textattack-python", metavar="FILE", help="interpreter that has TextAttack")
    add("--confidence", type=float, default=0.5, help="of detected attributes (default: 0.5)")
    add("--epochs", type=int, default=12, help="of the trainings (default: 12)")
    add("--work", type=Path, metavar="DIR", help="kept, and gone on from (default: a new one)")
    add("--seed", type=int, default=0)
    add("--quick", action="store_true", help="drawn shapes and tiny trainings, under a minute")
    add("--save", action="store_true", help="append to results/")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
