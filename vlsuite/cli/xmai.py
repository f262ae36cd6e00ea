"""``vlsuite xmai``: cross-modal attribute insertions, from detecting to judging."""

import argparse
from pathlib import Path
from typing import Any

from vlsuite.cli import xmai_evaluate

HELP = """\
insert attributes into captions where they hurt, and measure it

  vlsuite xmai detect DATA --tagger RUN --out seen.jsonl        what each picture shows
  vlsuite xmai perturb DATA --detections seen.jsonl --scorer RUN --out changed
  vlsuite xmai quality changed/perturbed.jsonl                  what it did to the texts
  vlsuite eval MODEL --data DATA --task attribute_insertions \\
    --set attribute_insertions.captions=changed/perturbed.jsonl what it did to the model
"""

_DETECT = """\
find objects and their attributes in pictures

  vlsuite xmai detect DATA --tagger runs/first --out seen.jsonl
  vlsuite xmai detect DATA --tagger ViT-B-32:openai --detector facebook/detr-resnet-50 --out s.jsonl
  vlsuite xmai detect DATA --tagger ViT-B-32:openai \\
    --detector torchvision:fasterrcnn_resnet50_fpn_v2 --out seen.jsonl

Without a detector the nouns of each caption are taken to be in the picture, and the tagger says
which colour, size, material... they have. With one, boxes are named by the detector and the tagger
looks at each box. The tagger is any model of 'vlsuite eval': a run folder, or ARCHITECTURE:WEIGHTS.

Annotations of your own need no detecting. Write JSON lines and give them to perturb:
  {"uid": "000123", "name": "dog", "attribute": "brown", "score": 0.9, "attribute_score": 0.7}
uid is the sample's key in its shard, or the file name in a folder of pictures.
"""

_PERTURB = """\
write captions with inserted attributes, or changed by a text-only method

  vlsuite xmai perturb DATA --detections seen.jsonl --scorer runs/first --out changed
  vlsuite xmai perturb DATA --method deletion --out changed-deletion
  vlsuite xmai perturb DATA --list-methods

The published settings (arXiv 2306.11065; COCO or any captioned pictures):
  vlsuite xmai detect COCO --tagger ViT-B-32:openai --detector facebook/detr-resnet-50 \\
    --out seen.jsonl
  vlsuite xmai perturb COCO --detections seen.jsonl --scorer ViT-B-32:openai \\
    --masked-lm bert-base-cased --nouns spacy:en_core_web_md --similarity spacy:en_core_web_md \\
    --weights paper --k 3 --truth none --device cuda --out changed

Before each noun that was seen in the picture goes the candidate that maximises
  s = (l1 p + l2 a + l3 d + l4 t) / (|l1| + |l2| + |l3| + |l4|),  each scaled over the candidates:
p probability by the language model, a similarity with detected attributes, d 1 - cosine of picture
and sentence by the scorer, t support of the picture by the tagger.

What may be inserted, --truth:
  detected  attributes that were seen on that very noun with --confidence or more (default)
  clip      words that the tagger supports with --support or more
  none      any adjective, as published; many are then false of the picture
Never: a word of race, nation, faith or skin before a person (--blocked), a word that does not fit
"a" or "an" before it, or part of a word. The caption itself is not touched: without the inserted
spans it is the original, byte for byte.

A scorer that is also the model you test makes the attack white-box; the result says so.
OUT/perturbed.jsonl is the same for any --workers. Killed, the same command goes on.
A model from the hub is downloaded where there is a network; else give its folder.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``vlsuite xmai`` and of its actions."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, text, add in (
        ("detect", _DETECT, _add_detect),
        ("perturb", _PERTURB, _add_perturb),
    ):
        action = actions.add_parser(
            name,
            help=text.splitlines()[0],
            description=text,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        add(action)
    xmai_evaluate.add_actions(actions)


def run(args: argparse.Namespace) -> int:
    """Do what the action says; returns the exit code.

    Raises:
        UserError: a model, file or setting is missing or wrong.
    """
    own = {"detect": _detect, "perturb": _perturb}
    return own[args.action](args) if args.action in own else xmai_evaluate.run(args)


def _add_data(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("data", metavar="DATA", nargs="?", help="captioned pictures as for 'vlsuite eval --data'")
    add("--split", default="test", help="of a CLIP_benchmark folder (default: test)")
    add(
        "--texts",
        choices=("captions", "hypotheses"),
        default="captions",
        help="captions, or hypotheses: the statements in each json member (default: captions)",
    )
    add("--device", help="cpu, cuda, cuda:1 (default: cuda if there is one)")
    add("--groups", metavar="FILE", help='attributes by group, {"colour": ["red", ...], ...}')
    add(
        "--around",
        choices=("caption", "noun"),
        default="caption",
        help="what the tagger reads with an attribute (default: caption; boxes: noun)",
    )
    add(
        "--template",
        default="a photo of a {}",
        help="of noun, {} for attribute and noun (default: 'a photo of a {}')",
    )
    add(
        "--nouns",
        default="rules",
        metavar="FINDER",
        help="rules (English), or spacy:MODEL, a package or folder (default: rules)",
    )


def _add_detect(parser: argparse.ArgumentParser) -> None:
    _add_data(parser)
    add = parser.add_argument
    add("--tagger", metavar="MODEL", required=True, help="contrastive model that sees attributes")
    add("--detector", metavar="NAME", help="torchvision:NAME[:FILE], or a folder or hub id (DETR)")
    add("--min-score", type=float, default=0.4, help="of a box (default: 0.4, as published)")
    add("--max-boxes", type=int, default=50, help="of a picture (default: 50, as published)")
    add(
        "--min-attribute",
        type=float,
        default=0.1,
        help="probability from which an attribute is written (default: 0.1)",
    )
    add("--out", type=Path, required=True, metavar="FILE", help="JSON lines to write")


def _add_perturb(parser: argparse.ArgumentParser) -> None:
    _add_data(parser)
    add = parser.add_argument
    add("--method", default="xmai", metavar="NAME", help="see --list-methods (default: xmai)")
    add("--list-methods", action="store_true", help="name the methods and stop")
    add("--out", type=Path, metavar="DIR", help="folder for perturbed.jsonl")
    add("--seed", type=int, default=0, help="of methods that draw (default: 0)")
    add("--workers", type=int, default=1, metavar="N", help="processes (default: 1)")
    table = parser.add_argument_group("a table instead of DATA")
    table.add_argument("--table", type=Path, metavar="CSV", help="upstream's layout")
    table.add_argument("--text-column", metavar="NAME", help="default: text, original, caption...")
    table.add_argument("--image-dir", type=Path, metavar="DIR", help="default: beside the table")
    _add_models(parser.add_argument_group("models"))
    _add_choice(parser.add_argument_group("choice of words"))
    text = parser.add_argument_group("text-only methods")
    text.add_argument("--share", type=float, default=0.2, help="of the words (default: 0.2)")
    text.add_argument("--wordnet", metavar="DIR", help="WordNet's files (eda, synonym)")
    text.add_argument(
        "--textattack-python",
        metavar="FILE",
        help="interpreter that has TextAttack, for methods textattack:RECIPE (default: this one)",
    )


def _add_models(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--detections", type=Path, metavar="FILE", help="what 'xmai detect' wrote, or your own")
    add("--scorer", metavar="MODEL", help="contrastive model that measures d (default: d is 0)")
    add("--tagger", metavar="MODEL", help="contrastive model that measures t (default: detections)")
    add(
        "--masked-lm",
        default="vocabulary",
        metavar="NAME",
        help="folder or hub id; vocabulary: detected words alone, no model (default: vocabulary)",
    )
    add(
        "--similarity",
        default="characters",
        metavar="NAME",
        help="of words: characters, spacy:MODEL, or an encoder's folder or hub id "
        "(default: characters)",
    )
    add("--prefix", default="This is ", help="before each sentence for the scorer")


def _add_choice(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--weights", default="paper", help="paper 1,5,5,0; readme 1,1,1,0; or numbers")
    add("--k", type=int, default=3, help="candidates a gap (default: 3)")
    add(
        "--truth",
        choices=("detected", "clip", "none"),
        default="detected",
        help="which words may be inserted, see above (default: detected)",
    )
    add("--confidence", type=float, default=0.5, help="of detected attributes (default: 0.5)")
    add("--support", type=float, default=0.5, help="of the tagger (default: 0.5)")
    add("--max-insertions", type=int, default=3, help="a caption (default: 3)")
    add("--blocked", default="people", help="people, race-words, none, or a file (default: people)")
    add(
        "--matching",
        choices=("direct", "sim", "mix"),
        default="mix",
        help="of nouns and detections: by word, by --similarity, or the latter where no word "
        "matches (default: mix)",
    )
    add("--threshold", type=float, default=0.7, help="of sim (default: 0.7, as published)")
    add(
        "--compat",
        choices=("none", "upstream"),
        default="none",
        help="upstream: the published behaviour with its faults, to compare (default: none)",
    )


def _detect(args: argparse.Namespace) -> int:
    from eval.xmai.detecting import DetectSpec, detect
    from eval.xmai.detections import write_detections

    spec = DetectSpec(
        tagger=args.tagger,
        detector=args.detector,
        nouns=args.nouns,
        groups=args.groups,
        around=args.around,
        template=args.template,
        min_score=args.min_score,
        max_boxes=args.max_boxes,
        min_attribute=args.min_attribute,
        device=_device(args),
    )
    count = write_detections(args.out, detect(spec, _dataset_source(args, {})))
    print(f"{count:,} detections -> {args.out}")
    return 0


def _perturb(args: argparse.Namespace) -> int:
    from eval.xmai.attack import run_attack
    from eval.xmai.plan import plan_of
    from eval.xmai.records import read_perturbed
    from vlsuite.errors import ConfigError

    if args.list_methods:
        return _list_methods()
    if args.out is None:
        raise ConfigError("perturb needs a folder: --out DIR")
    if args.workers < 1:
        raise ConfigError(f"--workers {args.workers}: give at least 1")
    path = run_attack(plan_of(_spec(args), _source(args), args.out, workers=args.workers))
    captions = read_perturbed(path).captions
    changed = sum(caption.is_changed for caption in captions)
    insertions = sum(len(caption.insertions) for caption in captions)
    share = changed / max(len(captions), 1)
    print(
        f"{changed:,} of {len(captions):,} captions changed ({share:.1%}), {insertions:,} words "
        f"inserted -> {path}"
    )
    return 0


def _spec(args: argparse.Namespace) -> Any:
    from dataclasses import fields

    from eval.xmai.plan import MethodSpec

    own: dict[str, Any] = vars(args) | {"device": _device(args)}
    return MethodSpec(**{f.name: own[f.name] for f in fields(MethodSpec)})


def _source(args: argparse.Namespace) -> Any:
    from eval.xmai.detections import read_detections
    from eval.xmai.upstream.table import read_upstream_table
    from vlsuite.errors import ConfigError

    if args.table is not None:
        if args.data is not None:
            raise ConfigError("give DATA or --table, not both")
        return read_upstream_table(
            args.table, image_dir=args.image_dir, text_column=args.text_column
        )
    if args.method in ("xmai", "random_attribute") and args.detections is None:
        raise ConfigError(
            f"{args.method} needs to know what the pictures show: --detections FILE, written by "
            "'vlsuite xmai detect'"
        )
    return _dataset_source(args, read_detections(args.detections) if args.detections else {})


def _dataset_source(args: argparse.Namespace, detections: Any) -> Any:
    from eval.xmai.sources import open_source
    from vlsuite.errors import ConfigError

    if args.data is None:
        raise ConfigError(f"xmai {args.action} needs captioned pictures: give DATA")
    return open_source(args.data, split=args.split, texts=args.texts, detections=detections)


def _list_methods() -> int:
    from eval.xmai.perturbers.contract import perturbers

    print("looks at the picture:")
    print("  xmai               attributes chosen by language model, detections and scorer")
    print("  random_attribute   a random detected attribute")
    print("text alone:")
    for name in perturbers.names():
        print(f"  {name}")
    print("  textattack:RECIPE  eda, checklist, clare, deletion... (pip install textattack)")
    return 0


def _device(args: argparse.Namespace) -> str:
    import torch

    return args.device or ("cuda" if torch.cuda.is_available() else "cpu")
