"""The model that a detector learns names from: it embeds texts, and crops of pictures.

C = names, m = regions, D = length of an embedding
"""

import copy
import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from vlsuite.errors import ConfigError
from vlsuite.models.dual_encoder.built import BuiltModel
from vlsuite.models.dual_encoder.clip import Clip, unscaled
from vlsuite.models.dual_encoder.config import OpenClipConfig
from vlsuite.models.vild.crops import CropSettings, crops_of
from vlsuite.models.vild.kept_names import KeptNames

#: Texts that are embedded in one call, crops in one pass.
_TEXTS, _CROPS = 4096, 256
_LOCAL = "local-dir:"


class Teacher:
    """A dual encoder in evaluation mode, loaded when it is first asked.

    Args:
        config: which.
        prompts: that a name is put into, each with ``{c}``.
        synonyms: other words for a name that are averaged with it.
        crops: what of a region it is shown.
    """

    def __init__(
        self,
        config: OpenClipConfig,
        *,
        prompts: Sequence[str],
        synonyms: Mapping[str, tuple[str, ...]],
        crops: CropSettings,
    ) -> None:
        self.config, self.crops = config, crops
        self.prompts, self._synonyms = tuple(prompts), dict(synonyms)
        self._known: dict[str, Tensor] = {}
        self._kept: KeptNames | None = None
        self.device = torch.device("cpu")

    @cached_property
    def built(self) -> BuiltModel:
        """The towers.

        Raises:
            ConfigError: it has no weights.
            ModelError, UnknownNameError: it cannot be loaded.
        """
        found = self.config.build()
        if found.logit_scale is None:
            raise ConfigError(
                f"model.teacher.name={self.config.name} has no weights, and a teacher is not "
                "trained here; set model.teacher.pretrained, or name 'local-dir:RUN/export'"
            )
        found.encoder.requires_grad_(False).eval()
        return found

    @cached_property
    def fingerprint(self) -> str:
        """See ``vlsuite.models.identity``."""
        device = next(self.built.encoder.parameters()).device
        self.built.encoder.to("cpu")
        told = unscaled(self.built).fingerprint
        self.built.encoder.to(device)
        return told

    @cached_property
    def digest(self) -> str:
        """Tells its weights, preparation and tokenizer from others'; of a folder, its files'.

        Unlike ``fingerprint``, this opens no model that lies in a folder.
        """
        place = self.config.name.removeprefix(_LOCAL)
        if place == self.config.name or not Path(place).is_dir():
            return self.fingerprint
        digest = hashlib.sha256(repr(self.config).replace(place, "").encode())
        for path in sorted(one for one in Path(place).rglob("*") if one.is_file()):
            with path.open("rb") as stream:
                own = hashlib.file_digest(stream, "sha256").hexdigest()
            digest.update(f"{path.relative_to(place).as_posix()} {own}\n".encode())
        return digest.hexdigest()

    @property
    def embed_dim(self) -> int:
        """D."""
        return unscaled(self.built).embed_dim

    def to(self, device: torch.device) -> "Teacher":
        """Computes there from now on."""
        self.device = device
        return self

    def remember(self, names: Sequence[str], embeds: Float[Tensor, "C D"]) -> None:
        """Embeddings of names that need not be computed again."""
        self._known.update(zip(names, embeds.float().cpu(), strict=True))

    def reworded(self, prompts: Sequence[str]) -> "Teacher":
        """The same model with other prompts; nothing is remembered."""
        changed = copy.copy(self)
        changed.prompts, changed._known = tuple(prompts), {}
        return changed

    def keep_in(self, folder: Path) -> None:
        """Keep embeddings of names in files there from now on, and read what is there."""
        self._kept = KeptNames(folder)

    @torch.no_grad()
    def embed_names(self, names: Sequence[str]) -> Float[Tensor, "C D"]:
        """One unit vector a name, on the CPU; those embedded before are remembered.

        The mean over prompts (and synonyms) of unit vectors, normalised (Radford et al. 2021,
        arXiv 2103.00020, section 3.1.4).
        """
        if not names:
            return torch.zeros(0, self.embed_dim)
        new = [name for name in dict.fromkeys(names) if name not in self._known]
        if new and self._kept is not None:
            self.remember(new, self._kept.get(self._told(new), lambda: self._embedded(new)))
        elif new:
            self.remember(new, self._embedded(new))
        return torch.stack([self._known[name] for name in names])

    def _told(self, names: Sequence[str]) -> list[object]:
        """All that embeddings of names depend on."""
        words = [[name, *self._synonyms.get(name, ())] for name in names]
        return [self.digest, self.device.type, list(self.prompts), words]

    def _embedded(self, new: Sequence[str]) -> Float[Tensor, "C D"]:
        words = {name: (name, *self._synonyms.get(name, ())) for name in new}
        sentences = [p.replace("{c}", w) for n in new for w in words[n] for p in self.prompts]
        clip = self._clip()
        parts = [
            clip.embed_texts(sentences[first : first + _TEXTS]).float().cpu()
            for first in range(0, len(sentences), _TEXTS)
        ]
        counts = [len(words[name]) * len(self.prompts) for name in new]
        by_name = torch.cat(parts).split(counts)
        return torch.stack([F.normalize(F.normalize(p, dim=1).mean(0), dim=0) for p in by_name])

    @torch.no_grad()
    def embed_regions(
        self, picture: UInt8[np.ndarray, "rows columns 3"], boxes: Float[Tensor, "m 4"]
    ) -> Float[Tensor, "m D"]:
        """Unit vectors of the regions of a picture, on the CPU.

        The embeddings of the crops at all scales are added and normalised again (Gu et al. 2022,
        section 3.2).

        Args:
            picture: upright, RGB.
            boxes: in pixels.
        """
        if not len(boxes):
            return torch.zeros(0, self.embed_dim)
        preprocess = self.built.preprocess
        views = crops_of(
            picture,
            boxes.cpu(),
            self.crops,
            size=(preprocess["size"][0], preprocess["size"][1]),
            interpolation=preprocess.get("interpolation", "bicubic"),
        )
        clip = self._clip()
        parts = [
            clip.embed_images(part).float().cpu() for part in views.flatten(0, 1).split(_CROPS)
        ]
        return F.normalize(torch.cat(parts).unflatten(0, views.shape[:2]).sum(dim=0), dim=1)

    def _clip(self) -> Clip:
        self.built.encoder.to(self.device)
        return Clip(
            self.config.name,
            self.built,
            self.built.tokenizer,
            encode=self.built.encoder,
            logit_scale=1.0,
            logit_bias=0.0,
            device=self.device,
        )
