"""``vlsuite xmai``: cross-modal attribute insertions, from detecting to judging."""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from data_pipelines.options import option
from vlsuite.cli import xmai_evaluate
from vlsuite.cli.answers import tell
from vlsuite.cli.inputs import (
    refuse_missing_data,
    refuse_missing_file,
    refuse_missing_models,
)
from vlsuite.cli.options import add_options, read_options
from vlsuite.errors import ConfigError

if TYPE_CHECKING:
    from eval.xmai.chunks import CaptionSource

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
"a" or "an" before it, part of a word, a word that the caption has, a second colour or size, or
anything before what the caption denies ("no toilets"). Among adjectives that are there a word
stands where English has it ("a red wooden wagon"). The caption itself is not touched: without the
inserted spans it is the original, byte for byte.

A scorer that is also the model you test makes the attack white-box; the result says so.
OUT/perturbed.jsonl is the same for any --workers. Killed, the same command goes on.
A model from the hub is downloaded where there is a network; else give its folder.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class CaptionOptions:
    """Which captions and pictures, and where models compute.

    Args:
        data: captioned pictures as for 'vlsuite eval --data'.
        split: of a CLIP_benchmark folder.
        texts: captions, or hypotheses: the statements in each json member.
        device: cpu, cuda, cuda:1 (default: cuda if there is one).
    """

    data: str | None = option(positional=True, default=None, metavar="DATA")
    split: str = "test"
    texts: Literal["captions", "hypotheses"] = "captions"
    device: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class PerturbOptions:
    """What is perturbed besides a data set, and where to.

    Args:
        list_methods: name the methods and stop.
        out: folder for perturbed.jsonl.
        workers: processes.
        table: upstream's layout.
        caption_column: default: text, original, caption...
        images: folder of the pictures; default: beside the table.
        detections: what 'xmai detect' wrote, or your own.
    """

    list_methods: bool = False
    out: Path | None = option(default=None, metavar="DIR")
    workers: int = option(default=1, metavar="N")
    table: Path | None = option(default=None, metavar="CSV")
    caption_column: str | None = option(default=None, metavar="NAME", formerly="--text-column")
    images: Path | None = option(default=None, metavar="DIR", formerly="--image-dir")
    detections: Path | None = option(default=None, metavar="FILE")

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise ConfigError(f"--workers {self.workers}: give at least 1")


#: Of a method: what the tagger is asked, the text-only methods, and the models.
_ASKED = ("groups", "around", "template", "nouns")
_TEXT_ONLY = ("share", "wordnet", "textattack_python")
_MODELS = ("scorer", "tagger", "masked_lm", "similarity", "prefix")


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


def _add_detect(parser: argparse.ArgumentParser) -> None:
    from eval.xmai.specs import DetectSpec

    add_options(parser, CaptionOptions)
    add_options(parser, DetectSpec, only=_ASKED)
    add_options(parser, DetectSpec, leave_out=(*_ASKED, "device"))
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help="JSON lines to write"
    )


def _add_perturb(parser: argparse.ArgumentParser) -> None:
    from eval.xmai.specs import MethodSpec

    about_table = ("table", "caption_column", "images")
    add_options(parser, CaptionOptions)
    add_options(parser, MethodSpec, only=_ASKED)
    add_options(parser, MethodSpec, only=("method", "seed"))
    add_options(parser, PerturbOptions, leave_out=(*about_table, "detections"))
    add_options(
        parser.add_argument_group("a table instead of DATA"), PerturbOptions, only=about_table
    )
    models = parser.add_argument_group("models")
    add_options(models, PerturbOptions, only=("detections",))
    add_options(models, MethodSpec, only=_MODELS)
    others = ("method", "seed", "device", *_ASKED, *_MODELS, *_TEXT_ONLY)
    add_options(parser.add_argument_group("choice of words"), MethodSpec, leave_out=others)
    add_options(parser.add_argument_group("text-only methods"), MethodSpec, only=_TEXT_ONLY)


def _detect(args: argparse.Namespace) -> int:
    from eval.xmai.specs import DetectSpec

    given = read_options(args, CaptionOptions)
    refuse_missing_data([_data(args.action, given)])
    refuse_missing_models(args.tagger)
    refuse_missing_file(args.groups, option="--groups", form="a JSON file")
    from eval.xmai.detecting import detect
    from eval.xmai.detections import write_detections

    spec = read_options(args, DetectSpec, device=_device(given))
    count = write_detections(args.out, detect(spec, _dataset_source(args.action, given, {})))
    tell(file=args.out, num_detections=count)
    print(f"{count:,} detections -> {args.out}")
    return 0


def _perturb(args: argparse.Namespace) -> int:
    from eval.xmai.specs import MethodSpec

    given, own = read_options(args, CaptionOptions), read_options(args, PerturbOptions)
    if own.list_methods:
        return _list_methods()
    if own.out is None:
        raise ConfigError("perturb needs a folder: --out DIR")
    _check_perturbed(args, given, own)
    from eval.xmai.attack import run_attack
    from eval.xmai.plan import plan_of
    from eval.xmai.records import read_perturbed

    spec = read_options(args, MethodSpec, device=_device(given))
    source = _source(given, own)
    path = run_attack(plan_of(spec, source, own.out, workers=own.workers))
    captions = read_perturbed(path).captions
    changed = sum(caption.is_changed for caption in captions)
    insertions = sum(len(caption.insertions) for caption in captions)
    share = changed / max(len(captions), 1)
    tell(file=path, num_captions=len(captions), num_changed=changed, num_inserted=insertions)
    print(
        f"{changed:,} of {len(captions):,} captions changed ({share:.1%}), {insertions:,} words "
        f"inserted -> {path}"
    )
    return 0


def _check_perturbed(args: argparse.Namespace, given: CaptionOptions, own: PerturbOptions) -> None:
    """What can be wrong without a model, told before the libraries of models are imported."""
    from eval.xmai.specs import NEED_DETECTIONS

    if own.table is None:
        refuse_missing_data([_data("perturb", given)])
    elif given.data is not None:
        raise ConfigError("give DATA or --table, not both")
    refuse_missing_file(own.table, option="--table", form="a CSV file")
    refuse_missing_file(args.groups, option="--groups", form="a JSON file")
    if own.table is None and args.method in NEED_DETECTIONS and own.detections is None:
        raise ConfigError(
            f"{args.method} needs to know what the pictures show: --detections FILE, written by "
            "'vlsuite xmai detect'"
        )
    form = "the file that 'vlsuite xmai detect' wrote"
    refuse_missing_file(own.detections, option="--detections", form=form)
    refuse_missing_models(args.scorer, args.tagger)


def _source(given: CaptionOptions, own: PerturbOptions) -> "CaptionSource":
    from eval.xmai.detections import read_detections
    from eval.xmai.upstream.table import read_upstream_table

    if own.table is not None:
        return read_upstream_table(own.table, images=own.images, caption_column=own.caption_column)
    detections = read_detections(own.detections) if own.detections else {}
    return _dataset_source("perturb", given, detections)


def _dataset_source(action: str, given: CaptionOptions, detections: Any) -> "CaptionSource":
    from eval.xmai.sources import open_source

    data = _data(action, given)
    return open_source(data, split=given.split, texts=given.texts, detections=detections)


def _data(action: str, given: CaptionOptions) -> str:
    if given.data is None:
        raise ConfigError(f"xmai {action} needs captioned pictures: give DATA")
    return given.data


def _list_methods() -> int:
    from eval.xmai.perturbers.contract import perturbers

    tell(looking=_looking(), text_alone=perturbers.names())
    print("looks at the picture:")
    for name in _looking():
        print(f"  {name:18} {_ABOUT.get(name, '')}".rstrip())
    print("text alone:")
    for name in perturbers.names():
        shown = f"{name}RECIPE" if name == "textattack:" else name
        print(f"  {shown:18} {_ABOUT.get(name, '')}".rstrip())
    return 0


def _looking() -> list[str]:
    from eval.xmai.methods import methods

    return sorted(methods.names(), key=lambda name: name != "xmai")


_ABOUT = {
    "xmai": "attributes chosen by language model, detections and scorer",
    "random_attribute": "a random detected attribute",
    "textattack:": "eda, checklist, clare, deletion... (pip install textattack)",
}


def _device(given: CaptionOptions) -> str:
    import torch

    return given.device or ("cuda" if torch.cuda.is_available() else "cpu")
