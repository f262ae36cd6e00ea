"""A trained ViLD detector as evaluations see it: it finds things of any names.

n = regions, C = names
"""

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, Float32, Float64, UInt8
from torch import Tensor

from data_pipelines.texts import listed
from vlsuite.errors import ConfigError, ModelError
from vlsuite.models.detections import Detections
from vlsuite.models.identity import identity
from vlsuite.models.vild.built import BuiltVild
from vlsuite.models.vild.examples import example_embeds
from vlsuite.models.vild.network import RegionOutput
from vlsuite.models.vild.pasted_masks import pasted_masks
from vlsuite.models.vild.picture_batch import PictureBatch, picture_batches
from vlsuite.models.vild.postprocess import Kept, best_detections
from vlsuite.models.vild.scoring import (
    ensembled,
    image_probabilities,
    name_logits,
    text_probabilities,
    with_objectness,
)
from vlsuite.models.vild.text_classifier import TextClassifier

#: Pictures that go through the trunk at a time.
_PICTURES = 8


class Vild:
    """Satisfies ``Detector`` of eval.contract.

    Scores are a softmax over the whole vocabulary, whatever number of names is compared at a time.

    Args:
        name: shown in results.
        built: the detector.
        device: where the weights are.
        dtype: of the weights.
    """

    def __init__(
        self,
        name: str,
        built: BuiltVild,
        *,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.name, self.device = name, device
        self._built, self._network, self._dtype = built, built.network, dtype
        self._teacher = built.teacher
        self._examples: dict[str, Tensor] = {}
        self._fingerprint = ""
        if built.teacher is not None:
            built.teacher.to(device)

    @property
    def own_names(self) -> tuple[str, ...]:
        """See ``KnowsNames``: of the training, novel ones included."""
        return self._built.vocabulary.names

    def with_prompts(self, prompts: Sequence[str]) -> "Vild":
        """See ``WordsNames``.

        Raises:
            ConfigError: it has no teacher, so that prompts would change nothing.
        """
        if self._teacher is None:
            raise ConfigError(
                f"'{self.name}' was trained without a teacher (model.mode=supervised) and reads no "
                "prompts; leave them out"
            )
        changed = self._changed()
        changed._teacher = self._teacher.reworded(prompts)
        return changed

    def with_examples(
        self,
        examples: Mapping[str, Sequence[UInt8[Tensor, "3 _height _width"]]],
        *,
        around: Sequence[UInt8[Tensor, "3 _height _width"]],
    ) -> "Vild":
        """See ``TakesExamples``; ``vlsuite.models.vild.examples`` has how.

        Raises:
            ConfigError: it has no teacher.
            ModelError: its teacher is not there, or embeds a picture as NaN.
        """
        if self._teacher is None:
            raise ConfigError(
                f"'{self.name}' was trained without a teacher (model.mode=supervised), which is "
                "what reads pictures; train one with model.mode=vild"
            )
        changed = self._changed()
        changed._examples = dict(changed._examples) | example_embeds(
            self._teacher, examples, around, names=self.own_names
        )
        return changed

    def keep_names_in(self, folder: Path) -> None:
        """See ``KeepsNames``: embeddings of names by the teacher."""
        if self._teacher is not None:
            self._teacher.keep_in(folder)

    def _changed(self) -> "Vild":
        changed = copy.copy(self)
        changed._fingerprint = ""
        return changed

    @property
    def fingerprint(self) -> str:
        """SHA-256 over all that results depend on; see ``vlsuite.models.identity``."""
        if not self._fingerprint:
            teacher = self._teacher
            shown = {"examples": self._examples} if self._examples else {}
            self._fingerprint = identity(
                network=self._network,
                settings=self._built.config.described(),
                vocabulary=self._built.vocabulary.vocabulary.digest,
                teacher=teacher.fingerprint if teacher is not None else "",
                prompts=teacher.prompts if teacher is not None else (),
                dtype=str(self._dtype),
                **shown,
            )
        return self._fingerprint

    @torch.no_grad()
    def detect(
        self,
        images: Sequence[UInt8[Tensor, "3 _height _width"]],
        vocabulary: Sequence[str],
        *,
        max_detections: int,
        names_per_pass: int | None = None,
    ) -> list[Detections]:
        """Find everything that the vocabulary names, in each picture; see ``Detector``.

        Raises:
            ConfigError: the vocabulary is empty, or a number is not positive.
        """
        names = list(listed(vocabulary))
        if not names:
            raise ConfigError("the vocabulary is empty; name one thing to look for at least")
        if max_detections < 1 or (names_per_pass is not None and names_per_pass < 1):
            raise ConfigError(
                f"max_detections={max_detections} and names_per_pass={names_per_pass} must be "
                "positive"
            )
        class_embeds = self._class_embeds(names)
        found: dict[int, Detections] = {}
        for batch in self._batches(images):
            found |= self._detect(
                batch, images, names, class_embeds, max_detections, names_per_pass
            )
        return [found[row] for row in range(len(images))]

    @torch.no_grad()
    def propose(
        self, picture: UInt8[np.ndarray, "rows columns 3"], *, keep: int, nms: float
    ) -> Float32[Tensor, "regions 4"]:
        """Regions of a picture that may hold an object, best first, on the CPU.

        Args:
            picture: upright, RGB.
            keep: at most.
            nms: IoU above which the worse of two goes.
        """
        image = rearrange(torch.from_numpy(np.ascontiguousarray(picture)), "h w c -> c h w")
        (batch,) = self._batches([image])
        _, found = self._network.eval().localise(batch.pixels, batch.sizes, keep=keep, nms=nms)
        return _unscaled(found.boxes[0], batch.shares[0]).cpu().float()

    def _batches(self, images: Sequence[Tensor]) -> list[PictureBatch]:
        return picture_batches(
            images,
            longest=self._built.config.picture_size,
            preprocess=self._built.preprocess,
            batch_size=_PICTURES,
            device=self.device,
            dtype=self._dtype,
        )

    def _detect(
        self,
        batch: PictureBatch,
        images: Sequence[Tensor],
        names: list[str],
        class_embeds: Tensor,
        max_detections: int,
        names_per_pass: int | None,
    ) -> dict[int, Detections]:
        network, config = self._network.eval(), self._built.config
        size = (batch.pixels.shape[2], batch.pixels.shape[3])
        keep = config.network.proposals.test
        maps, proposals = network.localise(batch.pixels, batch.sizes, keep=keep)
        outputs = network.look_at(maps, proposals, batch.sizes, size)
        kept = []
        for place, (row, output) in enumerate(zip(batch.rows, outputs, strict=True)):
            if config.mode == "crop":
                output = self._taught(output, images[row], batch.shares[place])
            scores = self._scores(output, names, class_embeds, names_per_pass)
            kept.append(
                best_detections(
                    output.boxes,
                    scores,
                    size=batch.sizes[place],
                    score_threshold=config.detection.score_threshold,
                    nms=config.detection.nms,
                    max_detections=max_detections,
                )
            )
        masks = None
        if network.mask_head is not None:
            found = network.masks_of(maps, [one.boxes for one in kept], size)
            masks = found.split([len(one.boxes) for one in kept])
        return {
            row: self._told(
                kept[place], images[row], batch.shares[place], masks[place] if masks else None
            )
            for place, row in enumerate(batch.rows)
        }

    def _scores(
        self,
        output: RegionOutput,
        names: list[str],
        class_embeds: Tensor,
        names_per_pass: int | None,
    ) -> Float64[Tensor, "n C"]:
        settings = self._built.config.network.classifier
        if output.logits is not None:
            return self._known_scores(output.logits, names)
        temperature = settings.test_temperature or settings.temperature

        def logits(embeds: Tensor) -> Tensor:
            return name_logits(
                embeds, class_embeds, temperature=temperature, names_per_pass=names_per_pass
            )

        text = None
        classifier = self._network.classes
        if isinstance(classifier, TextClassifier) and output.embeds is not None:
            background = output.embeds.double() @ classifier.background_embed.double()
            text = text_probabilities(logits(output.embeds), background / temperature)
            if self._built.config.mode != "ensemble":
                return text
        assert output.image_embeds is not None
        image = image_probabilities(logits(output.image_embeds))
        if text is None:
            return with_objectness(image, output.objectness, exponent=settings.objectness)
        labelled = self._built.vocabulary.labelled_names - self._examples.keys()
        return ensembled(
            text,
            image,
            torch.tensor([name in labelled for name in names], device=self.device),
            base_exponent=settings.base_exponent,
            novel_exponent=settings.novel_exponent,
        )

    def _known_scores(self, logits: Float[Tensor, "n _D"], names: list[str]) -> Tensor:
        """Of a supervised detector: names that it was not trained on score 0."""
        own = self._built.vocabulary
        labelled = own.is_labelled.to(logits.device)
        known = text_probabilities(logits[:, 1:].masked_fill(~labelled, -torch.inf), logits[:, 0])
        rows = {name: row for row, name in enumerate(own.names)}
        nothing = known.new_zeros(len(known))
        columns = [known[:, rows[name]] if name in rows else nothing for name in names]
        return torch.stack(columns, dim=1)

    def _taught(
        self, output: RegionOutput, image: Tensor, share: tuple[float, float]
    ) -> RegionOutput:
        """The regions as the teacher sees them, cut out of the picture as it was given."""
        assert self._built.teacher is not None
        picture = rearrange(image.cpu(), "c h w -> h w c").numpy()
        embeds = self._built.teacher.embed_regions(picture, _unscaled(output.boxes, share).cpu())
        return output._replace(image_embeds=embeds.to(self.device))

    def _told(
        self, kept: Kept, image: Tensor, share: tuple[float, float], masks: Tensor | None
    ) -> Detections:
        boxes = _unscaled(kept.boxes, share).cpu()
        height, width = image.shape[1], image.shape[2]
        coded = None if masks is None else pasted_masks(masks.cpu(), boxes, (height, width))
        return Detections(boxes.float(), kept.scores.float().cpu(), kept.labels.cpu(), coded)

    def _class_embeds(self, names: list[str]) -> Tensor:
        teacher = self._teacher
        if teacher is None:
            return torch.zeros(len(names), 1, device=self.device)
        words = [name for name in names if name not in self._examples]
        known = self._examples | dict(zip(words, teacher.embed_names(words), strict=True))
        embeds = torch.stack([known[name] for name in names]).to(self.device)
        if not torch.isfinite(embeds).all():
            raise ModelError(
                f"the teacher of '{self.name}' embeds a name as NaN; check its weights"
            )
        return embeds


def _unscaled(boxes: Float[Tensor, "n 4"], share: tuple[float, float]) -> Float[Tensor, "n 4"]:
    """Pixels of the padded picture to pixels of the picture as given."""
    return boxes / boxes.new_tensor([*share, *share])
