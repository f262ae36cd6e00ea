"""Are inserted attributes true, and what do they do to a model? With the text-only baselines.

Captions of emoji (and of stamps, if given) say colours and skin tones; these are taken
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
import random
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.support import xmai_runs
from benchmarks.support.data_folder import VARIABLE, file_if_there
from benchmarks.support.environment import describe
from benchmarks.support.program import run_as_program
from benchmarks.support.report import finish
from benchmarks.support.timed_process import work_folder
from benchmarks.support.xmai_goals import goal_table, insertion_only_share, measured_goals
from benchmarks.support.xmai_setup import ASKED_GROUPS, Setup, set_up
from data_pipelines.errors import UserError
from eval.results import Score
from eval.xmai.attributes import GROUPS
from eval.xmai.quality import quality

_STAMPS = "stamps-000000.tar"
_BASELINES = ("deletion", "eda", "typo", "contractions", "masked_insert", "masked_replace")
_QUICK_BASELINES = ("deletion", "typo")
_FALLS = {"drop_r1": "text_to_image_recall_at_1_drop", "drop_mrr": "text_to_image_mrr_drop"}


def main() -> int:
    """Run the measurement; returns the exit code."""
    args = _parse()
    environment = describe()
    args.stamps = file_if_there(args.stamps, _STAMPS, option="--stamps TAR")
    if args.work is not None:
        args.work.mkdir(parents=True, exist_ok=True)
        figures = _measure(args, args.work.resolve())
    else:
        with work_folder("xmai_precision", parent=None) as work:
            figures = _measure(args, work)
    config = {k: str(v) if isinstance(v, Path) else v for k, v in vars(args).items()}
    finish("xmai_precision", figures, environment, config=config, save=args.save)
    return 0


def _measure(args: argparse.Namespace, work: Path) -> dict[str, Any]:
    setup = set_up(args, work)
    found = _precisions(setup, args)
    files, seconds = _perturbed(setup, args)
    falls = _falls(setup, files, args.seed)
    figures = _figures(found, files, seconds, falls)
    goals = measured_goals(setup, files, falls["victim"]["xmai"], seconds, seed=args.seed)
    print(_table(figures))
    print()
    print(goal_table(goals))
    return figures | {"goals": [goal._asdict() for goal in goals]}


def _precisions(setup: Setup, args: argparse.Namespace) -> dict[str, Any]:
    """Precision by method and set: the generator, and a random attribute that was detected."""
    methods = {
        "xmai": ("--confidence", 0 if args.quick else args.confidence),
        "random_attribute": ("--confidence", 0),
        "random_word": ("--confidence", 0),
    }
    found: dict[str, Any] = {method: {} for method in methods}
    for name, data in setup.named.items():
        seen = _detections(setup, data, name, args.nouns)
        uniform = _uniform(setup, seen, name, args.seed)
        for method, options in methods.items():
            given = uniform if method == "random_word" else seen
            path, _ = xmai_runs.perturb(
                setup.work / f"named-{name}-{method}",
                data,
                "xmai" if method == "xmai" else "random_attribute",
                ("--detections", given, "--scorer", setup.scorer, "--groups", setup.groups,
                 "--blocked", "race-words", "--seed", args.seed, "--nouns", args.nouns, *options),
            )  # fmt: skip
            captions = xmai_runs.captions_in(path)
            found[method][name] = xmai_runs.precision(captions, data, seed=args.seed)
    return found


def _detections(setup: Setup, data: Path, name: str, nouns: str) -> Path:
    path = setup.work / f"seen-{name}.jsonl"
    xmai_runs.run_command(
        setup.work / "detect.log", "xmai", "detect", data, "--tagger", setup.scorer,
        "--groups", setup.groups, "--template", "{}", "--nouns", nouns, "--out", path,
    )  # fmt: skip
    return path


def _uniform(setup: Setup, seen: Path, name: str, seed: int) -> Path:
    """The same detections with an attribute drawn at random from its group: no look at pictures."""
    rng = random.Random(seed)
    of_word = {word: own for group in ASKED_GROUPS for own in [GROUPS[group]] for word in own}
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
    seen = _detections(setup, setup.unseen, "unseen", args.nouns)
    models = (
        *("--detections", seen, "--scorer", setup.scorer),
        *("--seed", args.seed, "--nouns", args.nouns),
    )
    chosen = {
        "xmai": ("xmai", models),
        "xmai_skin": ("xmai", (*models, "--blocked", "race-words")),
        "xmai_published": (
            "xmai",
            (*models, "--masked-lm", setup.masked_lm, "--truth", "none", "--weights", "paper"),
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
    from vlsuite.models.opening import open_model

    victim, scorer = (open_model(str(folder)) for folder in (setup.victim, setup.scorer))
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
            "insertion_only": insertion_only_share(captions) if is_ours else kept,
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
            lines.append(f"{method:22} {name:12} {_shown(own['precision'])}")
    return "\n".join(lines)


def _shown(score: Mapping[str, float] | None) -> str:
    if score is None:
        return "no attribute with a known truth"
    value, low, high = (f"{score[key]:.1%}" for key in ("value", "low", "high"))
    return f"{value} ({low} to {high}), n = {score['n']}"


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--data", type=Path, metavar="DIR", help="of 'vlsuite data build emoji' (default: built)")
    help_stamps = f"real captions too (default: {_STAMPS} of ${VARIABLE}, where it is there)"
    add("--stamps", type=Path, metavar="TAR", help=help_stamps)
    add("--scorer", type=Path, metavar="RUN", help="CLIP of the generator (default: trained)")
    add("--victim", type=Path, metavar="RUN", help="CLIP that is measured (default: trained)")
    add("--masked-lm", type=Path, metavar="DIR", help="(default: trained)")
    add("--nouns", default="rules", help="finder, spacy:MODEL for one (default: %(default)s)")
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
    run_as_program(main)
