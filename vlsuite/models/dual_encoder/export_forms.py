"""The forms a model is exported in, and proof that each gives the model's own embeddings back."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor

from vlsuite.errors import ModelError
from vlsuite.export.form import Exported, Form
from vlsuite.models.dual_encoder.built import BuiltModel
from vlsuite.models.dual_encoder.caption_cleaning import (
    DIFFERENT_CAPTIONS,
    HARD_CAPTIONS,
    NOT_DONE,
)
from vlsuite.models.dual_encoder.clip import Clip
from vlsuite.models.dual_encoder.huggingface import write_huggingface_folder
from vlsuite.models.dual_encoder.model_card import write_model_card
from vlsuite.models.dual_encoder.open_clip_folder import write_open_clip_folder
from vlsuite.models.quiet_loading import quiet_loading

#: Names of files that an export may consist of.
_FILES = ("*config.json", "*.safetensors", "*token*.json", "README.md", "vocab.*", "merges.txt")
_FILES += ("*.model",)

#: Largest accepted difference of a coordinate of a unit-norm embedding. fp32 sums in another
#: order differ by about 1e-6; a wrong activation, mask or pixel by 1e-3 and more.
TOLERANCE = 1e-5


@runtime_checkable
class WriteForm(Protocol):
    """Writes a model into a folder."""

    def __call__(
        self,
        folder: Path,
        built: BuiltModel,
        weights: dict[str, Tensor],
        *,
        logit_scale: float,
        logit_bias: float | None,
    ) -> None: ...


class Reloaded(NamedTuple):
    """A model as its form's own library loads it; embeddings are unit-norm, on the CPU.

    ``token_ids`` gives int64 [texts, width], padded as the library pads.
    """

    embed_images: Callable[[Sequence[Image.Image]], Tensor]
    embed_texts: Callable[[list[str]], Tensor]
    logit_scale: float
    logit_bias: float
    token_ids: Callable[[list[str]], Tensor]


@dataclass(frozen=True, kw_only=True, slots=True)
class LibraryForm:
    """One form.

    Attributes:
        name: on the command line.
        library: that loads it.
        write: writes it.
        reload: loads it with nothing but that library.
        remark: what it does not do, said after every export; empty for nothing.
    """

    name: str
    library: str
    write: WriteForm
    reload: Callable[[Path], Reloaded]
    remark: str = ""


def export_form(library: LibraryForm) -> Form:
    """The form as ``vlsuite export`` writes and checks it."""

    def write(folder: Path, exported: Exported) -> None:
        library.write(
            folder,
            exported.built,
            dict(exported.weights),
            logit_scale=exported.scalars["logit_scale"],
            logit_bias=exported.scalars.get("logit_bias") or None,
        )
        write_model_card(
            folder,
            exported.built,
            name=exported.name,
            library=library.library,
            history=exported.history,
        )

    def verify(folder: Path, exported: Exported) -> list[str]:
        reloaded = library.reload(folder)
        if other := differing_captions(exported.model, reloaded, HARD_CAPTIONS):
            raise ModelError(
                f"{library.library} gives other token ids for {other[0]!a} "
                f"({len(other)} of {len(HARD_CAPTIONS)} captions differ) with the exported "
                f"{exported.model.name}; nothing was kept. Please report this tokenizer"
            )
        found = difference(exported.model, reloaded)
        if not found.is_small:
            raise ModelError(
                f"{library.library} gives other embeddings for the exported {exported.model.name} "
                f"(images {found.images:.1e}, texts {found.texts:.1e}, scale and bias "
                f"{found.logits:.1e}; at most {TOLERANCE:.0e}); nothing was kept. Please report "
                f"this architecture"
            )
        return [
            f"largest difference after loading it with {library.library} alone:",
            f"  images {found.images:.1e}  texts {found.texts:.1e}  "
            f"scale and bias {found.logits:.1e}",
            f"  token ids equal for {len(HARD_CAPTIONS)} of {len(HARD_CAPTIONS)} hard captions",
            *_limits(exported.model, reloaded, library.remark),
        ]

    return Form(name=library.name, write=write, verify=verify, files=_FILES)


class Difference(NamedTuple):
    """Largest absolute differences: of embedding coordinates, and of scale (relative) and bias."""

    images: float
    texts: float
    logits: float

    @property
    def is_small(self) -> bool:
        """Whether all are within the tolerance; NaN is not."""
        return all(value <= TOLERANCE for value in self)


def difference(clip: Clip, reloaded: Reloaded, *, seed: int = 0) -> Difference:
    """How far a reloaded model is from the one it was exported from, on random inputs.

    Of a model that concatenates two embeddings the first is compared, which is all that other
    libraries load.
    """
    pictures = random_pictures(clip.image_transform(Image.new("RGB", (8, 8))).shape[-1], seed=seed)
    captions = random_captions(seed=seed)
    pixels = torch.stack([clip.image_transform(picture) for picture in pictures])
    return Difference(
        images=_largest(_first(clip, clip.embed_images(pixels)), reloaded.embed_images(pictures)),
        texts=_largest(_first(clip, clip.embed_texts(captions)), reloaded.embed_texts(captions)),
        logits=max(
            abs(reloaded.logit_scale / clip.logit_scale - 1),
            abs(reloaded.logit_bias - clip.logit_bias),
        ),
    )


def differing_captions(clip: Clip, reloaded: Reloaded, captions: Sequence[str]) -> list[str]:
    """Captions for which a reloaded tokenizer gives other ids."""
    ours, theirs = clip.tokenizer(captions), reloaded.token_ids(list(captions))
    return [
        caption
        for caption, own, other in zip(captions, ours, theirs, strict=True)
        if not _same_ids(own, other)
    ]


def random_pictures(side: int, *, seed: int) -> list[Image.Image]:
    """Square pictures of random colours, at the model's size and above and below it.

    Square, because libraries differ by one pixel in where the middle of an odd leftover lies.
    """
    rng = np.random.default_rng(seed)
    pictures = []
    for size in (side, side, 2 * side + 1, max(2, side // 2)):
        coarse = rng.integers(0, 256, size=(7, 7, 3), dtype=np.uint8)
        pictures.append(Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC))
    return pictures


def random_captions(*, seed: int) -> list[str]:
    """Short, long, empty and oddly spelt captions, among them all kinds that are cleaned first."""
    rng = np.random.default_rng(seed)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    words = ["".join(rng.choice(letters, size=rng.integers(1, 9))) for _ in range(120)]
    return [
        "a photo of a cat.",
        "Two dogs & a man's hat, 25 EUR!",
        "it\u2019s a \u201cquoted\u201d  caf\u00e9",
        " ".join(words[:6]),
        " ".join(words[6:]),
        "",
        *HARD_CAPTIONS,
    ]


def reload_open_clip(folder: Path) -> Reloaded:
    """Load an exported folder with plain open_clip, as its users do."""
    import open_clip
    from open_clip.transform import PreprocessCfg, image_transform_v2

    name = f"local-dir:{folder}"
    model: Any = open_clip.create_model(name).eval()
    tokenizer = open_clip.get_tokenizer(name)
    transform = image_transform_v2(PreprocessCfg(**model.visual.preprocess_cfg), is_train=False)
    bias = getattr(model, "logit_bias", None)

    @torch.no_grad()
    def embed_images(pictures: Sequence[Image.Image]) -> Tensor:
        pixels = torch.stack([transform(picture) for picture in pictures])  # type: ignore[misc]
        return model.encode_image(pixels, normalize=True)

    @torch.no_grad()
    def embed_texts(texts: list[str]) -> Tensor:
        return model.encode_text(tokenizer(texts), normalize=True)

    return Reloaded(
        embed_images,
        embed_texts,
        logit_scale=float(model.logit_scale.detach().exp()),
        logit_bias=0.0 if bias is None else float(bias.detach()),
        token_ids=tokenizer,
    )


def reload_huggingface(folder: Path) -> Reloaded:
    """Load an exported folder with plain transformers, as its users do."""
    from transformers import CLIPModel, CLIPProcessor

    with quiet_loading():
        model: Any = CLIPModel.from_pretrained(folder, local_files_only=True).eval()
    # The default backend resizes tensors, whose rounding differs from Pillow's by a gray level.
    processor: Any = CLIPProcessor.from_pretrained(folder, local_files_only=True, backend="pil")

    def features(output: Tensor | object) -> Tensor:
        pooled = getattr(output, "pooler_output", output)  # transformers 5 wraps the tensor
        return F.normalize(pooled, dim=-1)  # type: ignore[arg-type]

    @torch.no_grad()
    def embed_images(pictures: Sequence[Image.Image]) -> Tensor:
        inputs = processor(images=list(pictures), return_tensors="pt")
        return features(model.get_image_features(**inputs))

    @torch.no_grad()
    def embed_texts(texts: list[str]) -> Tensor:
        inputs = processor(text=texts, padding=True, truncation=True, return_tensors="pt")
        return features(
            model.get_text_features(inputs["input_ids"], attention_mask=inputs["attention_mask"])
        )

    def token_ids(texts: list[str]) -> Tensor:
        return processor(text=texts, padding=True, truncation=True, return_tensors="pt")[
            "input_ids"
        ]

    return Reloaded(
        embed_images,
        embed_texts,
        logit_scale=float(model.logit_scale.detach().exp()),
        logit_bias=0.0,
        token_ids=token_ids,
    )


#: All forms by name.
FORMS = {
    form.name: form
    for form in (
        LibraryForm(
            name="open_clip",
            library="open_clip",
            write=write_open_clip_folder,
            reload=reload_open_clip,
        ),
        LibraryForm(
            name="huggingface",
            library="transformers",
            write=write_huggingface_folder,
            reload=reload_huggingface,
            remark=NOT_DONE,
        ),
    )
}


def _limits(clip: Clip, reloaded: Reloaded, remark: str) -> list[str]:
    """What a form does not do, and for how many of the captions that show it."""
    if not remark:
        return []
    other = differing_captions(clip, reloaded, DIFFERENT_CAPTIONS)
    return [f"{remark} (token ids differ for {len(other)} of {len(DIFFERENT_CAPTIONS)} examples)"]


def _same_ids(ours: Int[Tensor, "length"], theirs: Int[Tensor, "width"]) -> bool:
    """Whether two texts agree up to the first end-of-text, which has the highest id.

    Nothing behind it reaches an embedding, and libraries fill it differently.
    """
    end = int(ours.argmax()) + 1
    return torch.equal(ours, theirs) or torch.equal(ours[:end], theirs[:end])


def _first(clip: Clip, embeds: Float[Tensor, "rows embed_dim"]) -> Float[Tensor, "rows first_dim"]:
    if not clip.embed_parts:
        return embeds
    return F.normalize(embeds[:, : clip.embed_parts[0]], dim=1)


def _largest(
    ours: Float[Tensor, "rows embed_dim"], theirs: Float[Tensor, "rows embed_dim"]
) -> float:
    return float((ours.cpu().float() - theirs.float()).abs().max())
