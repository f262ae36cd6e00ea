"""ViLD as a model family: a detector that names regions by a teacher's embeddings.

Gu et al. 2022, arXiv 2104.13921.
"""

import dataclasses
import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from data_pipelines.bounded_json import read_object
from data_pipelines.settings import from_dict, to_dict
from data_pipelines.texts import listed
from vlsuite.errors import ConfigError, ModelError
from vlsuite.models import registry
from vlsuite.models.dual_encoder.config import OpenClipConfig
from vlsuite.models.family import ModelFamily
from vlsuite.models.vild.built import DESCRIPTION, FORMAT, NAMES, PROMPTS, TEACHER, WEIGHTS
from vlsuite.models.vild.crops import CropSettings
from vlsuite.models.vild.network import LOCALIZER, VildNetwork
from vlsuite.models.vild.prompts import PROMPT_SETS, prompts_from
from vlsuite.models.vild.region_cache import RegionCache, RegionSource, check_fits
from vlsuite.models.vild.settings import (
    DISTILLED_MODES,
    DetectionSettings,
    Mode,
    NetworkSettings,
    ViewSettings,
)
from vlsuite.models.vild.starting_point import StartingPoint, start_from_localizer
from vlsuite.models.vild.teacher import Teacher
from vlsuite.models.vild.trainable import TrainableVild
from vlsuite.models.vild.training_vocabulary import TrainingVocabulary
from vlsuite.torchvision_operators import require_operators

_PLACES = ("teacher", "vocabulary", "regions", "localizer", "pretrained")
#: What can be frozen, and the parts that are then.
_FROZEN: dict[str, tuple[str, ...]] = {
    "none": (),
    "trunk": ("trunk.",),
    "localizer": LOCALIZER,
}


@registry.register("vild")
@dataclass(frozen=True, kw_only=True, slots=True)
class VildConfig(ModelFamily):
    """What the detector is made of, and what it learns names from.

    Pictures are changed as ``view`` says; data.augment and data.caption are for pairs of pictures
    and captions, and are not looked at.

    Attributes:
        mode: "supervised" a linear layer over the names of the training, blind to all others;
            "text" ViLD-text; "image" ViLD-image; "vild" both on one head; "ensemble" on a head
            each; "crop" learns boxes alone, and the teacher looks at crops of them.
        vocabulary: categories.json beside the training shards, or their folder. Names of group
            "novel" have no labels; all names are known in training. Of several sources with other
            names each: one for every source of data.train, in their order; they are joined, and no
            name counts as absent from pictures whose source is not annotated with it.
        teacher: a dual encoder with weights: open_clip's, or "local-dir:RUN/export". Where
            ``pretrained`` is set and this is not: the one that detector was taught by.
        pretrained: a trained detector (run or exported folder) whose weights, all of them, this
            one starts from; for fine-tuning.
        regions: folder of 'vlsuite data region-embeddings' with the teacher's embeddings of regions
            of the training pictures; "image", "vild" and "ensemble" learn from it.
        localizer: a trained detector whose trunk, proposals, boxes and masks this one starts from;
            names are then learned on top ("optim.new_lr_factor").
        frozen: "none", "trunk", or "localizer": all but what names regions.
        prompts: "scene", "simple", "plain", or a file with one prompt a line, "{c}" for the name.
        synonyms: other words of the vocabulary for a name are averaged with it.
        crops: what of a region the teacher is shown.
        sizes: sides of the squares that training pictures are shown in, in pixels; several are
            drawn from by the step.
        size_every: samples in a row that have one size; a multiple of global_batch_size.
        longest_side: of a picture in detection, in pixels; none for the largest of sizes.
        view: random changes of training pictures.
        network: trunk, proposals, heads, classifier.
        detection: thresholds.
    """

    mode: Mode = "vild"
    vocabulary: tuple[str, ...] | str = ()
    teacher: OpenClipConfig = field(default_factory=OpenClipConfig)
    pretrained: str | None = None
    regions: str | None = None
    localizer: str | None = None
    frozen: str = "none"
    prompts: str = "scene"
    synonyms: bool = True
    crops: CropSettings = field(default_factory=CropSettings)
    sizes: tuple[int, ...] = (1024,)
    size_every: int = 256
    longest_side: int | None = None
    view: ViewSettings = field(default_factory=ViewSettings)
    network: NetworkSettings = field(default_factory=NetworkSettings)
    detection: DetectionSettings = field(default_factory=DetectionSettings)

    def __post_init__(self) -> None:
        object.__setattr__(self, "vocabulary", self.places)
        if self.pretrained is not None and self.localizer is not None:
            raise ConfigError(
                "model.pretrained brings a whole detector and model.localizer parts of one; set "
                "one of them"
            )
        if self.frozen not in _FROZEN:
            raise ConfigError(f"model.frozen={self.frozen} must be one of {', '.join(_FROZEN)}")
        shares_head = not self.network.heads.separate
        if self.frozen == "localizer" and shares_head and self.mode not in ("supervised", "crop"):
            raise ConfigError(
                "model.frozen=localizer freezes the head of the boxes, which also names regions; "
                "set model.network.heads.separate=true"
            )
        if self.frozen == "localizer" and self.mode == "crop":
            raise ConfigError("model.mode=crop learns boxes alone; model.frozen leaves nothing")
        if self.frozen != "none" and self.localizer is None and self.pretrained is None:
            raise ConfigError(
                f"model.frozen={self.frozen} freezes random weights; name a trained detector with "
                "model.localizer (or model.pretrained)"
            )
        if not self.sizes or any(size < 32 or size % 32 for size in self.sizes):
            raise ConfigError(f"model.sizes={self.sizes}: give multiples of 32 pixels")
        if self.size_every < 1 or (self.longest_side or 32) < 32:
            raise ConfigError("model.size_every must be positive, model.longest_side 32 or more")
        levels = len(self.network.proposals.anchor_sizes)
        if self.network.trunk.kind != "small" and levels != 5:
            raise ConfigError(
                f"model.network.proposals.anchor_sizes has {levels} sizes, the pyramid 5 maps; "
                "give one a map, such as 32,64,128,256,512"
            )

    @property
    def places(self) -> tuple[str, ...]:
        """Of the vocabularies; a path by itself is one, as runs of earlier versions have it."""
        return tuple(place for place in listed(self.vocabulary) if place)

    @property
    def picture_size(self) -> int:
        """Longest side of a picture in detection, in pixels."""
        return self.longest_side or max(self.sizes)

    def check(self) -> None:
        """See ``ModelFamily``; torchvision's operators and the vocabulary are looked at."""
        require_operators()
        TrainingVocabulary.load(self.places)

    def build(self) -> TrainableVild:
        """Load the teacher, embed the names, make the network on the CPU in fp32.

        Raises:
            ConfigError: no vocabulary, or a teacher without weights.
            ModelError, UnknownNameError, DataError: a part cannot be loaded or does not fit.
        """
        if self.pretrained is not None:
            return self._fine_tuned(self.pretrained)
        return self._built()

    def _fine_tuned(self, place: str) -> TrainableVild:
        start = StartingPoint.open(place)
        config = self._with_teacher(start)
        built = config._built()
        if built.teacher is not None and config.teacher != start.teacher:
            start.refuse_other_teacher(built.teacher.fingerprint)
        start.give_weights(built.network, built.vocabulary.names)
        return built

    def _built(self) -> TrainableVild:
        vocabulary = TrainingVocabulary.load(self.places)
        teacher = self._teacher(vocabulary)
        embeds = torch.zeros(len(vocabulary.names), 1)
        if teacher is not None:
            embeds = teacher.embed_names(vocabulary.names)
        built = self._around(vocabulary, teacher, embeds)
        if self.localizer is not None:
            start_from_localizer(built.network, self.localizer)
        for name, parameter in built.network.named_parameters():
            if name.startswith(_FROZEN[self.frozen]):
                parameter.requires_grad_(False)
        built.source = self._checked_regions(teacher)
        return built

    def rebuild(self, export: Path) -> TrainableVild:
        """See ``ModelFamily``: what is gone is taken from the export's copy."""
        changes: dict[str, Any] = {}
        if (export / DESCRIPTION).is_file():
            place = self.teacher.name.removeprefix("local-dir:")
            is_gone = self.teacher.name.startswith("local-dir:") and not Path(place).is_dir()
            is_of_start = self.pretrained is not None and self.teacher == OpenClipConfig()
            if is_gone or is_of_start:
                changes["teacher"] = OpenClipConfig(name=f"local-dir:{export / TEACHER}")
            if not all(Path(place).exists() for place in self.places):
                changes["vocabulary"] = (str(export),)
        elif self.pretrained is not None:
            changes["teacher"] = self._with_teacher(StartingPoint.open(self.pretrained)).teacher
        return dataclasses.replace(
            self, **changes, localizer=None, pretrained=None, frozen="none", regions=None
        ).build()

    def _with_teacher(self, start: StartingPoint) -> "VildConfig":
        """With that of the detector it starts from, unless one is set."""
        if self.mode == "supervised" or self.teacher != OpenClipConfig():
            return self
        return dataclasses.replace(self, teacher=start.teacher)

    @classmethod
    def open_folder(cls, folder: Path) -> TrainableVild:
        """See ``ModelFamily``."""
        try:
            stored = read_object(folder / DESCRIPTION)
            if stored["format"] != FORMAT:
                raise ValueError(f"format {stored['format']}, this version reads {FORMAT}")
            config = from_dict(cls, stored["model"])
            weights = load_file(folder / WEIGHTS)
            embeds = load_file(folder / NAMES)["class_embeds"]
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            raise ModelError(
                f"cannot read the detector in {folder}: {' '.join(str(error).split())[:200]}; "
                "export it again with 'vlsuite export RUN'"
            ) from error
        if config.prompts == PROMPTS:
            config = dataclasses.replace(config, prompts=str(folder / PROMPTS))
        config = dataclasses.replace(
            config,
            vocabulary=(str(folder),),
            teacher=OpenClipConfig(name=f"local-dir:{folder / TEACHER}"),
        )
        vocabulary = TrainingVocabulary.load(config.places)
        teacher = config._teacher(vocabulary)
        if teacher is not None:
            teacher.remember(vocabulary.names, embeds)
        built = config._around(vocabulary, teacher, embeds)
        _load(built.network, weights, where=str(folder / WEIGHTS))
        built.is_trained = True
        return built

    def described(self) -> dict[str, Any]:
        """The settings without places on one machine, and without what training alone needs."""
        settings = {key: value for key, value in to_dict(self).items() if key not in _PLACES}
        prompts = self.prompts if self.prompts in PROMPT_SETS else PROMPTS
        return settings | {"frozen": "none", "prompts": prompts}

    def region_source(self, teacher: Teacher, proposals: str, form: str = "int8") -> RegionSource:
        """What regions for this run are made with.

        Args:
            proposals: see ``proposal_digest``; empty where any will do.
        """
        return RegionSource(
            teacher=teacher.fingerprint,
            crops=self.crops.digest(),
            proposals=proposals,
            form=form,
        )

    def build_teacher(self) -> Teacher | None:
        """The teacher alone, which says what names and regions look like; None without one.

        Raises:
            ConfigError, DataError: no vocabulary, or it cannot be read.
        """
        config = self
        if self.pretrained is not None:
            config = self._with_teacher(StartingPoint.open(self.pretrained))
        return config._teacher(TrainingVocabulary.load(self.places))

    def _teacher(self, vocabulary: TrainingVocabulary) -> Teacher | None:
        if self.mode == "supervised":
            return None
        return Teacher(
            self.teacher,
            prompts=prompts_from(self.prompts),
            synonyms=vocabulary.synonyms if self.synonyms else {},
            crops=self.crops,
        )

    def _around(
        self, vocabulary: TrainingVocabulary, teacher: Teacher | None, embeds: Tensor
    ) -> TrainableVild:
        network = VildNetwork(
            self.network,
            mode=self.mode,
            class_embeds=embeds,
            is_labelled=vocabulary.is_labelled,
        )
        return TrainableVild(network=network, config=self, vocabulary=vocabulary, teacher=teacher)

    def _checked_regions(self, teacher: Teacher | None) -> RegionSource | None:
        if self.regions is None or self.mode not in DISTILLED_MODES:
            return None
        assert teacher is not None
        cache = RegionCache.open(Path(self.regions))
        check_fits(cache.source, self.region_source(teacher, "", form=""), self.regions)
        return cache.source


def proposal_digest(fingerprint: str, *, keep: int, nms: float) -> str:
    """What tells proposals apart: the network, how many, and its NMS."""
    return hashlib.sha256(f"{fingerprint} {keep} {nms}".encode()).hexdigest()


def _load(network: VildNetwork, weights: dict[str, Tensor], *, where: str) -> None:
    wanted = network.state_dict()
    differing = sorted(wanted.keys() ^ weights.keys()) or sorted(
        name for name, value in weights.items() if value.shape != wanted[name].shape
    )
    if differing:
        raise ModelError(
            f"{where} does not fit {DESCRIPTION} beside it ('{differing[0]}'); export the model "
            "again with 'vlsuite export RUN'"
        )
    network.load_state_dict(weights)
