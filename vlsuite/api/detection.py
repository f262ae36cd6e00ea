"""Things found in one's own pictures by names, or by pictures of them."""

import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data_pipelines.texts import counted
from eval.capabilities import DETECTS, lack_of
from eval.contract import Detector, KeepsNames, TakesExamples, WordsNames
from eval.detection.asked_names import asked_names, names_of_model
from eval.detection.detecting import pixels_of_picture
from eval.detection.found_files import FILE_NAME, PICTURES, coco_content, write_drawn, write_found
from eval.detection.own_pictures import (
    FoundPicture,
    Looking,
    OwnPictures,
    find_in,
    upright,
)
from eval.progress import Progress
from vlsuite.api.models import load_model
from vlsuite.api.several import name as one_name
from vlsuite.api.several import names as several_names
from vlsuite.errors import BadSampleError, ConfigError, DataError

#: Pictures that say what pictures look like, where examples are given.
_AROUND = 8

Place = str | os.PathLike


@dataclass(frozen=True, kw_only=True)
class FoundInPictures:
    """What was found.

    Attributes:
        pictures: that could be read, in order.
        names: that labels are rows of.
        left_out: pictures that could not be read, by reason.
        file: the JSON; None where nothing was written.
        left_out_examples: some of these pictures, with what is wrong with each, by reason.
    """

    pictures: tuple[FoundPicture, ...]
    names: tuple[str, ...]
    left_out: Mapping[str, int]
    file: Path | None = None
    left_out_examples: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def counts(self) -> dict[str, int]:
        """Finds of each name."""
        found = Counter(label for one in self.pictures for label in one.found.labels.tolist())
        return {name: found[row] for row, name in enumerate(self.names)}

    @property
    def best(self) -> dict[str, float]:
        """The best score of each name in any picture, one that is too low included."""
        return {
            name: max((one.best[row] for one in self.pictures), default=0.0)
            for row, name in enumerate(self.names)
        }


@dataclass(frozen=True, kw_only=True)
class Asking:
    """What is looked for, and by which model.

    Attributes:
        names: words.
        own_names: the names of the model's training besides.
        examples: pictures of one thing each, by the name that will stand for it.
        prompts: that words are put into; None takes the model's own.
        device: of a model given by name; None takes a GPU where there is one.
        settings: of a model given by name, where its kind has some.
        keep: folder that keeps what the model knows of names; None keeps nothing.
    """

    names: tuple[str, ...] = ()
    own_names: bool = False
    examples: Mapping[str, tuple[Path, ...]] | None = None
    prompts: str | tuple[str, ...] | None = None
    device: str | None = None
    settings: tuple[str, ...] = ()
    keep: Path | None = None


def detect(
    model: Any,
    pictures: Place,
    names: str | Iterable[str] = (),
    *,
    like: Mapping[str, Place | Iterable[Place]] | None = None,
    out: Place | None = None,
    threshold: float = 0.3,
    max_detections: int = 100,
    names_per_pass: int | None = None,
    prompts: str | Iterable[str] | None = None,
    device: str | None = None,
) -> FoundInPictures:
    """Find things in one picture, or in all of a folder.

    Args:
        model: name of one that detects (a run of vild, its export), or an object that does.
        pictures: a file or a folder.
        names: what to look for.
        like: pictures of one thing each, cut out, by the name that will stand for it.
        out: folder for pictures with boxes and ``detections.json``; None writes nothing.
        threshold: least score; scores are a softmax over all names (and background).
        max_detections: of a picture, over all names.
        names_per_pass: names scored at a time; None: all of them.
        prompts: a set of the model family ("scene", "simple", "plain"), or prompts with "{c}".
        device: of a model given by name; None takes a GPU where there is one.
    Returns:
        Boxes, scores and labels of every picture; ``eval.contract.Detections``.
    Raises:
        EvaluationError, ConfigError: no names, an empty one, one twice; a model that cannot do it.
        DataError: no picture; a single picture or an example that cannot be read.
        ModelError: no such model.

    Example::

        found = vlsuite.detect("runs/vild", "photos", ["a red car", "a dog"], out="found")
        for picture in found.pictures:
            print(picture.file_name, picture.found.boxes, picture.found.scores)
    """
    examples = {
        name: tuple(Path(one) for one in several_names(paths, f"like[{name!r}]"))  # type: ignore[arg-type]
        for name, paths in (like or {}).items()
    }
    asking = Asking(
        names=several_names(names, "names"),
        examples=examples,
        prompts=prompts if prompts is None or isinstance(prompts, str) else tuple(prompts),
        device=device,
    )
    looking = Looking(
        threshold=threshold, max_detections=max_detections, names_per_pass=names_per_pass
    )
    place = Path(one_name(pictures, "pictures"))
    return find(model, place, asking, looking, out=None if out is None else Path(out))


def find(
    model: Any,
    place: Path,
    asking: Asking,
    looking: Looking,
    *,
    out: Path | None,
    progress: Callable[..., Progress] | None = None,
) -> FoundInPictures:
    """See :func:`detect`; wrong inputs are told before a model is opened.

    Args:
        progress: makes a line of progress; None shows none.
    """
    if out is not None and out.exists() and not out.is_dir():
        raise ConfigError(f"--out {out} is a file; give a folder")
    pictures = OwnPictures.at(place, apart=None if out is None else out / PICTURES)
    examples = dict(asking.examples or {})
    if not asking.own_names:
        asked_names(asking.names, examples)
    detector = _opened(model, asking)
    words = (*asking.names, *(names_of_model(detector) if asking.own_names else ()))
    names = asked_names(words, examples)
    detector = _worded(detector, asking)
    if examples:
        detector = _shown(detector, examples, pictures)
    if out is not None:
        _refuse_unwritable(out)
    found: list[FoundPicture] = []
    with ExitStack() as stack:
        line = None
        if progress is not None:
            line = progress("looking", total=len(pictures.names), unit="pictures")
            stack.callback(line.close)
        for picture, one in find_in(detector, pictures, names, looking):
            found.append(one)
            if out is not None:
                write_drawn(out, picture, one, names)
            if line is not None:
                line.add(1)
    left_out = dict(pictures.skips.counts)
    if not found:
        reasons = ", ".join(f"{count:,} {kind}" for kind, count in left_out.items())
        raise DataError(
            f"none of the {counted(len(pictures.names), 'picture')} in {place} can be read "
            f"({reasons}); look at one of them"
        )
    about = {
        "model": detector.name,
        "threshold": looking.threshold,
        "max_detections": looking.max_detections,
        "names_per_pass": looking.names_per_pass,
        "by_pictures": sorted(examples),
        "left_out": left_out,
    }
    file = None if out is None else write_found(out, coco_content(found, names, about))
    return FoundInPictures(
        pictures=tuple(found),
        names=names,
        left_out=left_out,
        file=file,
        left_out_examples=pictures.skips.examples,
    )


def _opened(model: Any, asking: Asking) -> Detector:
    if isinstance(model, str | os.PathLike):
        detector = load_model(model, device=asking.device, settings=asking.settings)
    elif asking.device or asking.settings:
        raise ConfigError("device and settings belong to a model given by name, not to an object")
    else:
        detector = model
    if not hasattr(detector, "name"):
        raise ConfigError(f"{type(detector).__name__} is no model; see eval.contract.Detector")
    if (lack := lack_of(detector, [DETECTS])) is not None:
        raise ConfigError(f"{lack}; give a run or export of vild, or a detector of your own")
    keeper: object = detector
    if asking.keep is not None and isinstance(keeper, KeepsNames):
        keeper.keep_names_in(asking.keep)
    return detector


def _worded(detector: Detector, asking: Asking) -> Detector:
    """With other prompts, where they are asked for."""
    if asking.prompts is None:
        return detector
    if not isinstance(detector, WordsNames):
        raise ConfigError(f"model {detector.name} takes no prompts; leave them out")
    given = asking.prompts
    if isinstance(given, str) and "{c}" in given:
        given = (given,)
    if isinstance(given, str):
        from vlsuite.models.vild.prompts import prompts_from

        given = prompts_from(given)
    wrong = [prompt for prompt in given if "{c}" not in prompt]
    if wrong or not given:
        raise ConfigError(f"prompt '{(wrong or [''])[0][:60]}' has no {{c}} for the name")
    return detector.with_prompts(given)


def _shown(
    detector: Detector, examples: Mapping[str, tuple[Path, ...]], pictures: OwnPictures
) -> Detector:
    """With pictures for names; the first ones that are looked at say what is common to pictures."""
    if not isinstance(detector, TakesExamples):
        raise ConfigError(f"model {detector.name} finds things by names alone; leave pictures out")
    shown = {
        " ".join(name.split()): [_example(path) for path in paths]
        for name, paths in examples.items()
    }
    around = []
    for name in pictures.names:
        try:
            around.append(pixels_of_picture(upright(pictures.folder / name)))
        except BadSampleError:  # told when it is looked at
            continue
        if len(around) == _AROUND:
            break
    if not around:
        raise DataError(f"no picture of {pictures.folder} can be read; look at one of them")
    return detector.with_examples(shown, around=around)


def _example(path: Path) -> Any:
    try:
        return pixels_of_picture(upright(path))
    except BadSampleError as error:
        raise DataError(f"example {path}: {error}; give another picture") from error


def _refuse_unwritable(out: Path) -> None:
    """Before the work, not after it."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out, prefix=f".{FILE_NAME}"):
            pass
    except OSError as error:
        raise ConfigError(f"cannot write to {out}: {error.strerror or error}") from error
