"""Models by name, and embeddings of one's own pictures and texts."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, UInt8
from PIL import Image, ImageOps
from torch import Tensor

from data_pipelines.bounded_files import media_bytes
from data_pipelines.images import on_white
from eval import opening
from vlsuite.api.setting_values import apply_values
from vlsuite.api.several import name as one_name
from vlsuite.api.several import names
from vlsuite.batches.decode import decode_image
from vlsuite.errors import BadSampleError, ConfigError, DataError

_THREADS = 4

Picture = str | os.PathLike | bytes | Image.Image


def load_model(
    name: str | os.PathLike,
    *,
    device: str | torch.device | None = None,
    settings: Mapping[str, Any] | Sequence[str] | None = None,
    step: int | None = None,
) -> Any:
    """The model of that name, ready to embed pictures and texts, or to write.

    What it can do is described by the protocols of ``eval.contract``; a dual encoder has
    ``embed_images`` (pixels of its ``image_transform``), ``embed_texts``, ``logit_scale``,
    ``tokenizer``. ``vlsuite.embed_images`` takes files and pictures of any size.

    Args:
        name: folder of a run or of ``vlsuite export``, ARCHITECTURE:WEIGHTS of open_clip,
            "local-dir:FOLDER", "hf-hub:ORG/REPO", "transformers:NAME", "http://HOST/v1#MODEL";
            ``vlsuite.models.opening`` and ``eval.opening`` have the rest.
        device: "cpu", "cuda", "cuda:1"; None takes a GPU where there is one.
        settings: of a kind of model that has some (endpoints, transformers), by name, or as
            "name=value".
        step: of a run folder, the checkpoint of that step instead of the finished model; the model
            is then called RUN@STEP.
    Raises:
        ModelError: nothing there, no weights, or weights of another architecture.
        UnknownNameError: no such architecture or kind of model.
        ConfigError: no such device, a setting that this kind of model does not have, no name, or
            a step of what is no run folder.
        CheckpointError: no checkpoint of that step.

    Example::

        model = vlsuite.load_model("runs/first")
        text_embeds = model.embed_texts(["a red apple", "a green apple"])
    """
    text, on = one_name(name, "name"), chosen_device(device)
    if step is not None:
        if settings:
            raise ConfigError(f"a checkpoint of {text} has no settings; leave them out")
        return _of_step(text, step, on)
    if not isinstance(settings, Mapping):
        return opening.open_model(text, device=on, settings=tuple(settings or ()))
    if not settings:
        return opening.open_model(text, device=on)
    kind = opening.settings_of(text)
    if kind is None:
        raise ConfigError(f"{text} has no settings; leave {', '.join(settings)} out")
    return opening.open_model(text, device=on, settings=apply_values(kind(), settings))


@torch.no_grad()
def _of_step(run: str, step: int, device: torch.device) -> Any:
    """The model as a checkpoint of its run holds it."""
    # Training brings much along that a finished model does without.
    from vlsuite.engine.run_folder import RunFolder
    from vlsuite.engine.stored_model import load_stored_model

    folder = RunFolder(Path(run))
    if not (folder.path / "config.json").is_file() or not folder.checkpoints.is_dir():
        raise ConfigError(
            f"--step {step} needs a run folder with checkpoints, and '{run}' is none; leave the "
            "step out, or give the folder of 'vlsuite train'"
        )
    stored = load_stored_model(folder, step=step)
    stored.built.module.to(device).eval()
    return stored.built.evaluated(f"{run}@{step}", scalars=stored.scalars, device=device)


def embed_images(
    model: Any, pictures: Picture | Iterable[Picture], *, batch_size: int = 64
) -> Float[Tensor, "images embed_dim"]:
    """Embed pictures of any size, shown to the model as an evaluation would show them.

    Args:
        model: of ``load_model``, or any with ``image_transform``, ``embed_images`` and ``device``.
        pictures: files, encoded bytes or PIL pictures; read a batch at a time.
        batch_size: pictures in a forward pass.
    Returns:
        Unit-norm rows in the order given, on the model's device.
    Raises:
        DataError: a file that is missing or no picture; the message names it.
        ConfigError: the model embeds no pictures, or a batch size below 1.

    Example::

        model = vlsuite.load_model("runs/first")
        embeds = vlsuite.embed_images(model, sorted(Path("photos").glob("*.jpg")))
        print(embeds @ vlsuite.embed_texts(model, "a photo of a dog").T)
    """
    _refuse_unable(model, "embed_images", "image_transform", "device", "embed_dim")
    if not isinstance(batch_size, int) or batch_size < 1:
        raise ConfigError(f"batch_size={batch_size!r} must be a whole number, at least 1")
    is_one = isinstance(pictures, str | os.PathLike | bytes | Image.Image)
    if not is_one and not isinstance(pictures, Iterable):
        raise ConfigError(
            f"pictures is a {type(pictures).__name__}; give paths, encoded bytes or PIL pictures"
        )
    rows = [
        model.embed_images(batch.to(model.device))
        for batch in _batches(model, [pictures] if is_one else pictures, batch_size)
    ]
    return torch.cat(rows) if rows else torch.zeros(0, model.embed_dim, device=model.device)


def embed_texts(model: Any, texts: str | Iterable[str]) -> Float[Tensor, "texts embed_dim"]:
    """Embed texts; a single string is one text, not its letters.

    Args:
        model: of ``load_model``, or any with ``embed_texts``.
        texts: any number of them.
    Returns:
        Unit-norm rows in the order given, on the model's device.
    Raises:
        ConfigError: the model embeds no texts, or what is given is no text.

    Example::

        model = vlsuite.load_model("ViT-B-32:laion2b_s34b_b79k")
        embeds = vlsuite.embed_texts(model, ["a photo of a cat", "a photo of a dog"])
    """
    _refuse_unable(model, "embed_texts")
    return model.embed_texts(list(names(texts, "texts")))


def chosen_device(device: str | torch.device | None) -> torch.device:
    """The device of that name after a trial; None for a GPU where there is one, else the CPU.

    Raises:
        ConfigError: there is no such device.
    """
    wanted = device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(wanted)
        torch.zeros(1, device=found)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).strip().splitlines()[0][:200]
        raise ConfigError(f"device {wanted}: {reason}; give cpu, cuda or cuda:N") from error
    return found


def _batches(
    model: Any, pictures: Iterable[Picture], size: int
) -> Iterator[UInt8[Tensor, "batch 3 height width"]]:
    """What the model is shown, decoded in threads."""

    def frame(numbered: tuple[int, Any]) -> Tensor:
        return model.image_transform(_decoded(numbered[1], numbered[0]))

    waiting = iter(enumerate(pictures))
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="decode") as pool:
        while batch := list(islice(waiting, size)):
            yield torch.stack(list(pool.map(frame, batch)))


def _decoded(picture: Any, number: int) -> Image.Image:
    if isinstance(picture, Image.Image):
        return on_white(ImageOps.exif_transpose(picture))
    if not isinstance(picture, str | os.PathLike | bytes):
        raise ConfigError(
            f"picture {number} is a {type(picture).__name__}; give paths, encoded bytes or PIL "
            "pictures (tensors go to the model's own embed_images)"
        )
    where = f"picture {number}" if isinstance(picture, bytes) else os.fspath(picture)
    try:
        return decode_image(picture if isinstance(picture, bytes) else media_bytes(Path(picture)))
    except OSError as error:
        raise DataError(f"cannot read {where}: {error.strerror or error}") from error
    except BadSampleError as error:
        raise DataError(f"{where}: {error}; leave it out or mend it") from error


def _refuse_unable(model: Any, *members: str) -> None:
    lacks = [name for name in members if not hasattr(model, name)]
    if lacks:
        raise ConfigError(
            f"{type(model).__name__} has no {', '.join(lacks)}; give a model of "
            "vlsuite.load_model, or one as eval.contract.EmbeddingModel describes"
        )
