"""Scores of a fixed vocabulary from the features of regions, as TorchScript compiles them.

The formulas are those of ``scoring``. n = regions, C = names, D = length of an embedding.
"""

from typing import no_type_check

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vlsuite.models.vild.built import BuiltVild
from vlsuite.models.vild.text_classifier import TextClassifier


def name_scorer(built: BuiltVild, names: tuple[str, ...]) -> nn.Module:
    """What scores regions of a detector, by its mode.

    Its forward takes features [n, c, cells, cells], those of the head that names regions [n, width]
    and objectness [n], and gives scores [n, C] in fp64.
    """
    network, settings = built.network, built.config.network.classifier
    if built.teacher is None:
        return _Known(built, names)
    temperature = settings.test_temperature or settings.temperature
    class_embeds = built.teacher.embed_names(names).double()
    image = None
    if built.config.mode == "ensemble":
        image = _Image(
            nn.Sequential(network.image_head, network.image_projection), class_embeds, temperature
        )
    elif built.config.mode == "image":
        return _ImageAlone(
            _Image(network.projection, class_embeds, temperature), settings.objectness
        )
    assert isinstance(network.classes, TextClassifier)
    text = _Text(
        network.projection, class_embeds, network.classes.background_embed.double(), temperature
    )
    if image is None:
        return _TextAlone(text)
    is_base = torch.tensor([name in built.vocabulary.labelled_names for name in names])
    exponents = torch.where(
        is_base,
        torch.tensor(settings.base_exponent, dtype=torch.float64),
        torch.tensor(settings.novel_exponent, dtype=torch.float64),
    )
    return _Both(text, image, exponents)


@no_type_check
class _Text(nn.Module):
    """Softmax over background and names."""

    def __init__(
        self, projection: nn.Module, class_embeds: Tensor, background: Tensor, temperature: float
    ) -> None:
        super().__init__()
        self.projection, self.temperature = projection, temperature
        self.register_buffer("embeds", torch.cat([background.detach()[None], class_embeds]))

    def forward(self, named: Tensor) -> Tensor:
        embeds = F.normalize(self.projection(named).float(), dim=1).double()
        return (embeds @ self.embeds.t() / self.temperature).softmax(dim=1)[:, 1:]


@no_type_check
class _Image(nn.Module):
    """Softmax over names."""

    def __init__(self, projection: nn.Module, class_embeds: Tensor, temperature: float) -> None:
        super().__init__()
        self.projection, self.temperature = projection, temperature
        self.register_buffer("embeds", class_embeds)

    def forward(self, features: Tensor) -> Tensor:
        embeds = F.normalize(self.projection(features).float(), dim=1).double()
        return (embeds @ self.embeds.t() / self.temperature).softmax(dim=1)


@no_type_check
class _TextAlone(nn.Module):
    def __init__(self, text: nn.Module) -> None:
        super().__init__()
        self.text = text

    def forward(self, features: Tensor, named: Tensor, objectness: Tensor) -> Tensor:
        return self.text(named)


@no_type_check
class _ImageAlone(nn.Module):
    def __init__(self, image: nn.Module, objectness: float) -> None:
        super().__init__()
        self.image, self.exponent = image, objectness

    def forward(self, features: Tensor, named: Tensor, objectness: Tensor) -> Tensor:
        certain = objectness.double()[:, None] ** self.exponent
        return self.image(named) ** (1 - self.exponent) * certain


@no_type_check
class _Both(nn.Module):
    """The ensemble."""

    def __init__(self, text: nn.Module, image: nn.Module, exponents: Tensor) -> None:
        super().__init__()
        self.text, self.image = text, image
        self.register_buffer("exponents", exponents)

    def forward(self, features: Tensor, named: Tensor, objectness: Tensor) -> Tensor:
        image = self.image(features) ** (1 - self.exponents)
        return self.text(named) ** self.exponents * image


@no_type_check
class _Known(nn.Module):
    """A supervised detector; names that it was not trained on score 0."""

    def __init__(self, built: BuiltVild, names: tuple[str, ...]) -> None:
        super().__init__()
        self.classes = built.network.classes
        own = built.vocabulary
        row_of = {name: row for row, name in enumerate(own.names)}
        labelled = own.is_labelled.tolist()
        rows = [row_of[name] if name in own.labelled_names else -1 for name in names]
        self.register_buffer("is_said", torch.tensor([True, *labelled]))
        self.register_buffer("columns", torch.tensor([max(row, 0) for row in rows]))
        self.register_buffer("is_known", torch.tensor([row >= 0 for row in rows]))

    def forward(self, features: Tensor, named: Tensor, objectness: Tensor) -> Tensor:
        logits = self.classes(named).double().masked_fill(~self.is_said, -float("inf"))
        return logits.softmax(dim=1)[:, 1:][:, self.columns] * self.is_known
