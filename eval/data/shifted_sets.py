"""Which known data set is a shifted form of ImageNet, and with which line it is judged."""

import re
from collections.abc import Sequence

import numpy as np

from eval.data.dataset import EvalDataset
from eval.data.imagenet_layouts import imagenet_classes

_IMAGENET = re.compile(r"imagenet(1k|2012)?(val|validation)?|ilsvrc(2012)?(clsloc|imgval|val)?")

# All published archives of ImageNet-V2 end in "format-val"; only that of matched frequency has a
# fitted line. The archive of ImageNet-Sketch unpacks to a folder "sketch".
_SETS = {
    r"imagenetv2(threshold07|topimages).*": None,
    r"imagenetv2matchedfrequencyformatval": "imagenetv2-format-val",
    r"imagenetv2(matchedfrequency)?": "imagenetv2-matched-frequency",
    r"(imagenet)?sketch": "imagenet-sketch",
    r"imagenetr(endition)?": "imagenet-r",
    r"imageneta": "imagenet-a",
    r"objectnet(10)?": "objectnet",
}


def is_imagenet(name: str) -> bool:
    """Whether a data set of this name is ImageNet itself ("wds_imagenet1k", "ILSVRC2012")."""
    return _IMAGENET.fullmatch(_plain(name)) is not None


def baseline_of(name: str) -> str | None:
    """Key in ``BASELINE_FITS`` of a set by its name, None where there is no line for it."""
    plain = _plain(name)
    return next((key for form, key in _SETS.items() if re.fullmatch(form, plain)), None)


def is_known_shift(name: str) -> bool:
    """Whether the name is that of a natural shift of ImageNet."""
    return any(re.fullmatch(form, _plain(name)) for form in _SETS)


def base_of(dataset: EvalDataset, bases: Sequence[EvalDataset]) -> EvalDataset | None:
    """The unshifted set to compare with: the one named in ``shift_of.txt``, else by known names.

    Where neither says anything, a single other set with all classes of this one is taken.
    """
    others = [base for base in bases if base.revision != dataset.revision]
    others = [base for base in others if matching_classes(dataset, base) is not None]
    if (named := dataset.layout.shift_of) is not None:
        for base in others:
            is_split = base.name == dataset.name and base.split == named
            if is_split or named in (base.name, f"{base.name}/{base.split}"):
                return base
        return None
    if is_known_shift(dataset.name):
        imagenet = [base for base in others if is_imagenet(base.name)]
        if imagenet:
            return imagenet[0]
    return others[0] if len(others) == 1 else None


def matching_classes(dataset: EvalDataset, base: EvalDataset) -> np.ndarray | None:
    """Labels of the base set that are classes of the shifted one, ascending; None without all.

    Classes are matched by name; between ImageNet, its relatives and ObjectNet by class number.
    """
    shifted, unshifted = dataset.layout.classes, base.layout.classes
    if shifted is None or unshifted is None or base.labels is None:
        return None
    wanted, known = imagenet_classes(shifted.names), imagenet_classes(unshifted.names)
    labels: set[int | None]
    if wanted is not None and known is not None:
        of_number = {number: label for label, own in enumerate(known) for number in own}
        labels = {of_number.get(number) for own in wanted for number in own}
    else:
        of_name = {name: label for label, name in enumerate(unshifted.names)}
        labels = {of_name.get(name) for name in shifted.names}
    found = [label for label in labels if label is not None]
    return np.array(sorted(found), dtype=np.int64) if len(found) == len(labels) else None


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", re.sub(r"^wds[_-]|[_-]test$", "", name.lower()))
