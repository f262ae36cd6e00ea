"""Proof on loading: a dual encoder embeds a handful of texts and pictures as plain open_clip does.

What this package does otherwise (texts cut behind their end, pixels kept as uint8 and normalised
in batches, a cache of token ids) is right under conditions that an architecture may break.
So every model that is built, for training or evaluation, goes through both ways once, on the CPU
in fp32: five texts and one picture, and the pixels of pictures of several shapes. For ViT-B/32
that is below a second on two cores; ``benchmarks/load_check.py`` measures it.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from torch import Tensor, nn

from data_pipelines.printable import printable
from vlsuite.batches.transforms import channels, normalise
from vlsuite.errors import ModelError
from vlsuite.models.dual_encoder.built import BuiltModel
from vlsuite.models.dual_encoder.clip import unscaled

#: Short, with words of high ids, of another script, longer than any context, and empty.
TEXTS = (
    "a photo of a cat.",
    "Zygote zoom? \u00a9 z\u00fcrich, 3.14 \u20ac",
    "\u65e5\u672c\u8a9e \U0001f642 \u0442\u0435\u043a\u0441\u0442",
    "two dogs and a man's red hat on a bench, " * 20,
    "",
)

#: (width, height) of pictures whose pixels are compared; the first one is embedded too.
_SHAPES = ((97, 61), (61, 97), (64, 64), (9, 200))

#: Largest difference of a coordinate of a unit-norm embedding. fp32 sums in another order differ
#: by 1e-6 to 1e-5 in deep towers; a text that is cut too early by 1e-2 and more.
TOLERANCE = 1e-4
#: Of a normalised pixel; a gray level is 0.004 divided by the standard deviation.
_PIXEL_TOLERANCE = 1e-4


class PlainEmbeddings(NamedTuple):
    """What open_clip's own model, tokenizer and transform make of the texts and pictures.

    Attributes:
        texts: unit-norm; None where the tokenizer cannot be loaded here.
        image: unit-norm, of the first picture.
        pixels: normalised, of every picture.
    """

    texts: Float[Tensor, "texts embed_dim"] | None
    image: Float[Tensor, "1 embed_dim"]
    pixels: list[Float[Tensor, "3 height width"]]

    @property
    def is_finite(self) -> bool:
        """False for weights that hold NaN, which evaluation and training refuse themselves."""
        embeds = [self.image] if self.texts is None else [self.image, self.texts]
        return all(bool(torch.isfinite(part).all()) for part in embeds)


def agree_with_open_clip(built: BuiltModel, model: Any) -> None:
    """Compare; texts are cut behind their end from now on, where that changes nothing.

    Of a model that concatenates two embeddings the first is compared. A tokenizer that is not
    here (a hub name without a network) is reported when it is needed; texts are not cut then.

    Args:
        built: holds the towers of ``model``, texts whole until now.
        model: of ``open_clip.create_model``, its towers as they were made.
    Raises:
        ModelError: pictures or texts are embedded otherwise than by open_clip, a tower cannot
            take them at all, or the model pools
            words instead of the end-of-text token of a tokenizer that replaces its own (one that
            came with it gets a warning: its numbers are open_clip's).
    """
    try:
        token_ids = built.tokenizer(TEXTS)
    except ModelError:
        token_ids = None
    with _evaluating(model), _evaluating(built.encoder):
        plain = _plain(model, built.preprocess, token_ids)
        if plain.texts is not None and plain.texts.shape[1] != plain.image.shape[1]:
            widths = f"{plain.image.shape[1]} numbers and texts with {plain.texts.shape[1]}"
            raise ModelError(
                f"'{built.name}' embeds pictures with {widths}; give both towers the "
                "architecture's embed_dim"
            )
        if not plain.is_finite:
            return
        _check_pictures(built, plain)
        if plain.texts is not None:
            _check_texts(built, plain.texts)
    if token_ids is not None and built.tokenizer_folder is not None:
        _check_end_of_text(built, token_ids)


def _plain(model: Any, preprocess: dict[str, Any], token_ids: Tensor | None) -> PlainEmbeddings:
    transform: Any = image_transform_v2(PreprocessCfg(**preprocess), is_train=False)
    pixels = [transform(picture) for picture in probe_pictures()]
    image = _run(model.visual, pixels[0][None], "pictures (model.image_size)")
    if token_ids is None:
        return PlainEmbeddings(None, image, pixels)
    texts = _run(model.text, token_ids, "texts (model.context_length, model.tokenizer)")
    return PlainEmbeddings(texts, image, pixels)


def _run(tower: Any, given: Tensor, what: str) -> Tensor:
    """Unit-norm output of a tower; one that cannot take its own inputs is one line."""
    try:
        return F.normalize(_pooled(tower(given)).float(), dim=-1)
    except (RuntimeError, AssertionError, ValueError, TypeError, IndexError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(
            f"the model cannot take its own {what}: {reason or type(error).__name__}; check these "
            "settings against the architecture"
        ) from error


def _check_pictures(built: BuiltModel, plain: PlainEmbeddings) -> None:
    clip = unscaled(built)
    views = [clip.image_transform(picture) for picture in probe_pictures()]
    mean, std = (channels(built.preprocess[name], clip.device) for name in ("mean", "std"))
    ours = [normalise(view[None], mean=mean, std=std, dtype=torch.float32)[0] for view in views]
    _refuse(built, _pixels_apart(ours, plain.pixels), _PIXEL_TOLERANCE, "prepares pictures")
    image = _first(built, clip.embed_images(views[0][None]))
    _refuse(built, _apart(image, plain.image), TOLERANCE, "embeds pictures")


def _check_texts(built: BuiltModel, plain: Float[Tensor, "texts embed_dim"]) -> None:
    built.encoder.use_cut_texts()
    cut = _apart(_texts(built), plain)
    if cut <= TOLERANCE:
        return
    built.encoder.use_whole_texts()
    _refuse(built, _apart(_texts(built), plain), TOLERANCE, "embeds texts")
    _say(
        f"warning: '{built.name}' embeds texts that are cut behind their end otherwise than "
        f"open_clip (by {cut:.1e}); whole texts are used, which is slower"
    )


def _check_end_of_text(built: BuiltModel, token_ids: Tensor) -> None:
    end = built.encoder.pooled_at
    if end is None:
        return
    pooled = token_ids[torch.arange(len(token_ids)), end.places(token_ids)]
    if len(pooled.unique()) > 1:
        rule = "the highest token id" if end.token_id is None else f"token {end.token_id}"
        told = (
            f"'{built.name}' pools a text at {rule}, and that is not the end-of-text token of the "
            f"tokenizer in {built.tokenizer_folder}"
        )
        if built.name != f"local-dir:{built.tokenizer_folder}":
            raise ModelError(f"{told}; make a tokenizer with 'vlsuite data tokenizer'")
        _say(f"warning: {told}: texts are told apart by other words than they should be")


def probe_pictures() -> list[Image.Image]:
    """Smooth and noisy RGB pictures of several shapes; the same each time."""
    rng = np.random.default_rng(20210226)
    pictures = []
    for width, height in _SHAPES:
        coarse = Image.fromarray(rng.integers(0, 256, size=(7, 7, 3), dtype=np.uint8))
        smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.int16)
        noisy = smooth + rng.integers(-24, 25, size=smooth.shape)
        pictures.append(Image.fromarray(noisy.clip(0, 255).astype(np.uint8)))
    return pictures


def _texts(built: BuiltModel) -> Tensor:
    """Each text alone, so that each is cut behind its own end."""
    clip = unscaled(built)
    return torch.cat([_first(built, clip.embed_texts([text])) for text in TEXTS])


def _first(built: BuiltModel, embeds: Tensor) -> Tensor:
    if not built.embed_parts:
        return embeds
    return F.normalize(embeds[:, : built.embed_parts[0]], dim=1)


def _pooled(output: Any) -> Tensor:
    """The pooled features of a tower that gives token states besides."""
    return output[0] if isinstance(output, tuple) else output


def _apart(ours: Tensor, theirs: Tensor) -> float:
    return float((ours.cpu().float() - theirs).abs().max())


def _pixels_apart(ours: list[Tensor], theirs: list[Tensor]) -> float:
    if any(own.shape != other.shape for own, other in zip(ours, theirs, strict=True)):
        return float("inf")
    return max(_apart(own, other) for own, other in zip(ours, theirs, strict=True))


def _refuse(built: BuiltModel, apart: float, limit: float, what: str) -> None:
    if not apart <= limit:
        raise ModelError(
            f"'{built.name}' {what} otherwise than open_clip (by {apart:.1e}, at most {limit:.0e}),"
            " so its numbers could not be trusted; please report this architecture"
        )


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """Without gradients, in evaluation mode, random numbers as they were; all put back."""
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            yield
    finally:
        for part, mode in modes.items():
            part.training = mode


def _say(line: str) -> None:
    """Once, though every process of a run builds the model."""
    if os.environ.get("RANK", "0") == "0":
        print(printable(line), file=sys.stderr, flush=True)
