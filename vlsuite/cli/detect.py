"""``vlsuite detect``: things found in one's own pictures, by names or by pictures of them."""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from data_pipelines.options import option
from vlsuite.cli.answers import tell
from vlsuite.cli.inputs import refuse_missing_data, refuse_missing_models
from vlsuite.cli.options import add_options, positive, read_options
from vlsuite.errors import ConfigError

if TYPE_CHECKING:
    from vlsuite.api.detection import FoundInPictures

HELP = """\
find things of any names in your own pictures, and draw boxes

  vlsuite detect photo.jpg "a red car" "a dog" --model runs/vild --out found
  vlsuite detect photos --names-from names.txt --threshold 0.5 --model runs/vild --out found
  vlsuite detect photos --like mug1.png=mug --like mug2.png=mug "a plate" --model runs/vild --out found
  vlsuite detect photos --own-names --model my-export --out found

Writes found/detections.json (COCO's form, with scores) and found/pictures/ (boxes, masks where the
model has some); boxes are of the upright picture. A score is a softmax over all names that are
given, so more names make scores smaller, and the one name of a mode without background ("image",
"crop") wins everywhere. --like shows the model a thing, cut out, instead of naming it; several
pictures of one NAME are averaged. Words and pictures may be mixed: the distance that a teacher
keeps between pictures and texts is taken out, but what is left differs by pair, so look at scores
of words and of pictures with a threshold of their own.
"""  # noqa: E501

_SHOWN = 20  # names in the table
_SHOWN_EXAMPLES = 3  # pictures of a reason


@dataclass(frozen=True, kw_only=True, slots=True)
class DetectOptions:
    """What is looked for, where, and by which model.

    Attributes:
        model: run or exported folder of a detector, or another model that detects (--import).
        out: folder for detections.json and pictures/.
        like: a picture of one thing, cut out; without =NAME, its file name is the name.
        names_from: text file with one name a line, besides those given.
        own_names: look for the names that the model was trained on, novel ones included.
        threshold: least score of what is drawn and written.
        max_detections: of a picture, over all names.
        names_per_pass: names scored at once, which saves memory; default: all.
        prompts: "scene", "simple", "plain", or a file with one prompt a line, "{c}" for the name;
            default: those of the model.
        cache: folder that keeps the embeddings of names; default: in ~/.cache/vlsuite.
        no_cache: keep none.
        device: cpu, cuda, ...; default: a GPU where there is one.
        set: a setting of the model, where its kind has some.
    """

    pictures: Path = option("a picture, or a folder of pictures", positional=True,
                            metavar="PICTURE_OR_FOLDER")  # fmt: skip
    names: tuple[str, ...] = option(
        "what to look for, in words", positional=True, default=(), metavar="NAME"
    )
    model: str = option(metavar="RUN_OR_EXPORT")
    out: Path = option(metavar="DIR")
    like: tuple[str, ...] = option(default=(), repeated=True, metavar="PICTURE[=NAME]")
    names_from: Path | None = option(default=None, metavar="FILE")
    own_names: bool = False
    threshold: float = 0.3
    max_detections: int = option(default=100, reader=positive)
    names_per_pass: int | None = option(default=None, reader=positive)
    prompts: str | None = None
    cache: Path | None = option(default=None, metavar="DIR")
    no_cache: bool = False
    device: str | None = None
    set: tuple[str, ...] = option(default=(), repeated=True, metavar="KEY=VALUE")

    def __post_init__(self) -> None:
        if not self.threshold >= 0:
            raise ConfigError(f"--threshold {self.threshold}: give 0 or more")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the subcommand."""
    add_options(parser, DetectOptions)


def run(args: argparse.Namespace) -> int:
    """Look, draw, write, and tell how often what was found.

    Raises:
        UserError: see ``vlsuite.detect``.
    """
    options = read_options(args, DetectOptions)
    asked, keep = _asked(options), _cache(options)
    refuse_missing_data([options.pictures])
    refuse_missing_models(options.model)
    from eval.detection.own_pictures import Looking
    from eval.progress import Progress
    from vlsuite.api.detection import Asking, find

    looking = Looking(
        threshold=options.threshold,
        max_detections=options.max_detections,
        names_per_pass=options.names_per_pass,
    )
    asking = Asking(
        names=asked.names,
        own_names=options.own_names,
        examples=asked.examples,
        prompts=options.prompts,
        device=options.device,
        settings=options.set,
        keep=keep,
    )
    found = find(
        options.model, options.pictures, asking, looking, out=options.out, progress=Progress
    )
    _print(found, options)
    return 0


class _Asked(NamedTuple):
    """What is looked for."""

    names: tuple[str, ...]
    examples: dict[str, tuple[Path, ...]]


def _asked(options: DetectOptions) -> _Asked:
    """Names and pictures, checked before the libraries of models are imported."""
    from eval.detection.asked_names import asked_names, examples_of, names_of_file
    from vlsuite.models.vild.prompts import prompts_from

    listed = () if options.names_from is None else names_of_file(options.names_from)
    asked = _Asked((*options.names, *listed), examples_of(options.like))
    if not options.own_names:
        asked_names(asked.names, asked.examples)
    if options.prompts is not None and "{c}" not in options.prompts:
        prompts_from(options.prompts)
    return asked


def _cache(options: DetectOptions) -> Path | None:
    import os

    if options.no_cache and options.cache is not None:
        raise ConfigError("--cache and --no-cache exclude each other; leave one of them out")
    if options.no_cache:
        return None
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return options.cache or Path(base) / "vlsuite" / "names"


def _print(found: "FoundInPictures", options: DetectOptions) -> None:
    counts, best = found.counts, found.best
    tell(
        pictures=len(found.pictures),
        left_out=found.left_out,
        left_out_examples=found.left_out_examples,
        found=counts,
        best={name: round(score, 6) for name, score in best.items()},
        file=found.file,
    )
    from data_pipelines.printable import printable
    from data_pipelines.texts import counted

    order = sorted(found.names, key=lambda name: (-counts[name], -best[name]))
    shown = [(printable(name)[:40], f"{counts[name]:,}", _score(best[name], options.threshold))
             for name in order[:_SHOWN]]  # fmt: skip
    wide = max(len(name) for name, _, _ in (("name", "", ""), *shown))
    print(f"{'name':<{wide}}  {'found':>6}  best score")
    for name, count, score in shown:
        print(f"{name:<{wide}}  {count:>6}  {score}")
    if len(order) > _SHOWN:
        print(f"... and {len(order) - _SHOWN:,} more names")
    skipped = sum(found.left_out.values())
    print(f"\n{sum(counts.values()):,} found in {counted(len(found.pictures), 'picture')}", end="")
    print(f"; {skipped:,} could not be read" if skipped else "")
    for reason, count in found.left_out.items():
        print(f"  skipped {count:,}: {printable(reason)}")
        for example in found.left_out_examples.get(reason, ())[:_SHOWN_EXAMPLES]:
            print(f"      {printable(example)}")
    print(f"boxes: {found.file}\npictures: {options.out / 'pictures'}")


def _score(best: float, threshold: float) -> str:
    if not best:
        return "-"
    return f"{best:.2f}" + (f" (below {threshold:g})" if best < threshold else "")
