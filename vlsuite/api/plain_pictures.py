"""Names and captions for pictures of one's own, as rows of a table."""

import csv
import io
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch

from data_pipelines.embeddings.item import IMAGES, Item, Part, Wanted
from data_pipelines.embeddings.opening import Reading, open_parts
from data_pipelines.prompts import default_templates
from data_pipelines.shards.atomic import replacing
from eval.capabilities import WRITES_CAPTIONS, lack_of
from eval.contract import Captioner
from eval.embedding.prompts import class_embeds
from eval.progress import Progress
from eval.zero_shot.templates import templates_from
from vlsuite.api.embeddings import opened_model
from vlsuite.api.models import load_model
from vlsuite.api.several import name as one_name
from vlsuite.api.several import names as several_names
from vlsuite.batches.close_view import View, view_of
from vlsuite.errors import ConfigError
from vlsuite.models.item_batches import Batch, batches

_THREADS = 2

Place = str | os.PathLike
MakeProgress = Callable[..., Progress]
R = TypeVar("R")


class NamedPicture(NamedTuple):
    """The likeliest names of a picture.

    Attributes:
        path: from the folder that was named; SHARD.tar/KEY of a sample.
        names: best first; empty where the picture cannot be read.
        probabilities: a softmax over all names that were given, nothing else being possible.
        cosines: of picture and name.
        problem: why it cannot be read; "": it could.
    """

    path: str
    uid: str
    names: tuple[str, ...] = ()
    probabilities: tuple[float, ...] = ()
    cosines: tuple[float, ...] = ()
    problem: str = ""


class CaptionedPicture(NamedTuple):
    """What a model writes about a picture; ``problem`` says why where it writes nothing."""

    path: str
    uid: str
    caption: str = ""
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class Naming:
    """How pictures are named.

    Attributes:
        names: all that a picture can be.
        templates: prompts with "{c}"; None: as evaluations choose them by the names.
        top: names of a picture.
        pixels: "exact", as evaluations show pictures, or "close".
        batch_size: pictures of a forward pass.
    """

    names: tuple[str, ...]
    templates: tuple[str, ...] | None = None
    top: int = 1
    pixels: str = "exact"
    batch_size: int = 64

    def __post_init__(self) -> None:
        if len(self.names) < 2 or len(set(self.names)) < len(self.names):
            raise ConfigError("names: give at least two, each once")
        if not all(name.strip() for name in self.names):
            raise ConfigError("names: one of them is empty")
        if self.top < 1 or self.batch_size < 1:
            raise ConfigError("top and batch_size: give at least 1")


@dataclass(frozen=True, kw_only=True)
class Writing:
    """How captions are written.

    Attributes:
        prompt: text before every caption, not part of it.
        max_tokens: longest caption, in the model's own tokens.
        num_beams: of beam search; 1 is greedy.
        batch_size: pictures at once.
    """

    prompt: str = ""
    max_tokens: int = 30
    num_beams: int = 5
    batch_size: int = 16

    def __post_init__(self) -> None:
        if min(self.max_tokens, self.num_beams, self.batch_size) < 1:
            raise ConfigError("max_tokens, num_beams and batch_size: give at least 1")


def classify(
    model: Any,
    pictures: Place | Iterable[Place],
    names: str | Iterable[str],
    *,
    templates: str | Iterable[str] | None = None,
    top: int = 1,
    device: str | None = None,
) -> list[NamedPicture]:
    """Say which of some names fits each picture best.

    Args:
        model: name, or an object that embeds.
        pictures: a folder, pictures, shards, a list or table.
        names: all that a picture can be, at least two.
        templates: a named set ("simple", "imagenet", ...), a file of prompts, or prompts with
            "{c}"; None: as evaluations choose them.
        top: names of a picture.
        device: of a model given by name; None takes a GPU where there is one.
    Returns:
        One for each picture, those that cannot be read too.
    Raises:
        ConfigError: fewer than two names, or a model that embeds nothing.
        DataError: no pictures.

    Example::

        for one in vlsuite.classify("runs/first", "photos", ["a cat", "a dog"]):
            print(one.path, one.names[0], one.probabilities[0])
    """
    naming = Naming(names=several_names(names, "names"), templates=prompts_of(templates), top=top)
    return list(named(model, several_names(pictures, "pictures"), naming, device=device))


def caption(
    model: Any,
    pictures: Place | Iterable[Place],
    *,
    prompt: str = "",
    max_tokens: int = 30,
    num_beams: int = 5,
    device: str | None = None,
) -> list[CaptionedPicture]:
    """Let a model describe each picture.

    Args:
        model: name, or an object that writes captions (a CoCa; "transformers:NAME").
        pictures: a folder, pictures, shards, a list or table.
        prompt: text before every caption, not part of it.
        max_tokens: longest caption, in the model's own tokens.
        num_beams: of beam search; 1 is greedy.
        device: of a model given by name; None takes a GPU where there is one.
    Returns:
        One for each picture, those that cannot be read too.
    Raises:
        ConfigError: a model that writes no captions.
        DataError: no pictures.

    Example::

        for one in vlsuite.caption("runs/coca", "photos"):
            print(one.path, one.caption)
    """
    writing = Writing(prompt=prompt, max_tokens=max_tokens, num_beams=num_beams)
    return list(captioned(model, several_names(pictures, "pictures"), writing, device=device))


def prompts_of(templates: str | Iterable[str] | None) -> tuple[str, ...] | None:
    """Prompts from what a user gave; None stays None.

    Raises:
        EvaluationError: an unknown set, or a broken file.
        ConfigError: a prompt without a place for the name.
    """
    if templates is None:
        return None
    if isinstance(templates, str) and "{c}" not in templates:
        return templates_from(templates)
    found = several_names(templates, "templates")
    wrong = [prompt for prompt in found if "{c}" not in prompt]
    if wrong:
        raise ConfigError(f"prompt '{wrong[0][:60]}' has no {{c}} for the name")
    return found


def named(
    model: Any,
    paths: tuple[str, ...],
    naming: Naming,
    *,
    device: str | None = None,
    progress: MakeProgress | None = None,
) -> Iterator[NamedPicture]:
    """See :func:`classify`; one after another."""
    parts = open_parts(paths, Reading(kind=IMAGES))
    embedder, _ = opened_model(model, device)
    templates = naming.templates or default_templates(naming.names)
    classes = class_embeds(lambda texts: embedder.embed_texts(list(texts)), naming.names, templates)
    top = min(naming.top, len(naming.names))

    def look(batch: Batch) -> list[NamedPicture]:
        with torch.inference_mode():
            embeds = embedder.embed_images(torch.stack(batch.pixels)).float()
            cosines = embeds @ classes.to(embeds.device).float().T
            best = (cosines * embedder.logit_scale).softmax(dim=1).topk(top, dim=1)
            near = cosines.gather(1, best.indices).tolist()
        found = []
        for number, item in enumerate(batch.items):
            places = best.indices[number].tolist()
            words = tuple(naming.names[place] for place in places)
            shares = tuple(best.values[number].tolist())
            found.append(NamedPicture(item.path, item.uid, words, shares, tuple(near[number])))
        return found

    def leave(item: Item, problem: str) -> NamedPicture:
        return NamedPicture(item.path, item.uid, problem=problem)

    view = view_of(embedder.image_transform, naming.pixels)
    shown = _Shown(parts, view, naming.batch_size, "naming", progress)
    return shown.rows(look, leave)


def captioned(
    model: Any,
    paths: tuple[str, ...],
    writing: Writing,
    *,
    device: str | None = None,
    settings: tuple[str, ...] = (),
    progress: MakeProgress | None = None,
) -> Iterator[CaptionedPicture]:
    """See :func:`caption`; one after another."""
    parts = open_parts(paths, Reading(kind=IMAGES))
    writer = _writer(model, device, settings)

    def look(batch: Batch) -> list[CaptionedPicture]:
        with torch.inference_mode():
            texts = writer.caption(
                torch.stack(batch.pixels),
                prompts=[writing.prompt] * len(batch.items) if writing.prompt else None,
                max_tokens=writing.max_tokens,
                num_beams=writing.num_beams,
            )
        pairs = zip(batch.items, texts, strict=True)
        return [CaptionedPicture(item.path, item.uid, text) for item, text in pairs]

    def leave(item: Item, problem: str) -> CaptionedPicture:
        return CaptionedPicture(item.path, item.uid, problem=problem)

    view = view_of(writer.image_transform, "exact")
    shown = _Shown(parts, view, writing.batch_size, "captioning", progress)
    return shown.rows(look, leave)


class _Shown(NamedTuple):
    """Pictures in batches, and a row for each of them, in their order."""

    parts: list[Part]
    view: View
    batch_size: int
    what: str
    progress: MakeProgress | None

    def rows(
        self, look: Callable[[Batch], list[R]], leave: Callable[[Item, str], R]
    ) -> Iterator[R]:
        """What is made of a batch, and of what cannot be read."""
        with ExitStack() as stack:
            line = None
            if self.progress is not None:
                total = sum(part.num_rows for part in self.parts)
                line = self.progress(self.what, total=total, unit="pictures")
                stack.callback(line.close)
            for batch in self._batches():
                made = dict(enumerate(look(batch))) if batch.items else {}
                found = {item.row: made[place] for place, item in enumerate(batch.items)}
                found |= {skip.item.row: leave(skip.item, skip.reason) for skip in batch.skips}
                yield from (found[row] for row in sorted(found))
                if line is not None:
                    line.add(len(found))

    def _batches(self) -> Iterator[Batch]:
        wanted = Wanted.of(IMAGES)
        for part in self.parts:
            yield from batches(
                part.items(wanted), self.view, size=self.batch_size, threads=_THREADS
            )


def write_rows(path: Path, columns: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> None:
    """A CSV file that appears whole.

    Raises:
        DataError: it cannot be written.
    """
    with replacing(path) as file:
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(columns)
        for row in rows:
            writer.writerow(row)
            file.write(text.getvalue().encode("utf-8", "surrogatepass"))
            text.seek(0)
            text.truncate()
        file.write(text.getvalue().encode())


def _writer(model: Any, device: str | None, settings: tuple[str, ...]) -> Captioner:
    if isinstance(model, str | os.PathLike):
        found = load_model(one_name(model, "model"), device=device, settings=settings)
    elif device or settings:
        raise ConfigError("device and settings belong to a model given by name, not to an object")
    else:
        found = model
    if not hasattr(found, "name"):
        raise ConfigError(f"{type(found).__name__} is no model; see eval.contract.Captioner")
    if (lack := lack_of(found, [WRITES_CAPTIONS])) is not None:
        raise ConfigError(f"{lack}; give a CoCa, or transformers:NAME")
    return found
