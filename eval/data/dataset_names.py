"""One name for a data set, whoever published its folder."""

import re

# Where a name is from ("wds_vtab-cifar10", "wds_wilds-fmow_test", "fairness/geode").
_PREFIXES = r"^(wds[_-])?((vtab|wilds|fairness|retrieval|misc)[-/_])?"

_ALIASES = {
    "flickr_1k": "flickr30k",
    "flickr_1k_test_image_text_retrieval": "flickr30k",
    "mscoco_2014_5k": "mscoco_captions",
    "mscoco_2014_5k_test_image_text_retrieval": "mscoco_captions",
    "imagenet": "imagenet1k",
    "imagenet_r": "imagenet-r",
    "imagenet_a": "imagenet-a",
    "imagenet_o": "imagenet-o",
    "imagenet-sketch": "imagenet_sketch",
    "sketch": "imagenet_sketch",
    "imagenetv2-matched-frequency": "imagenetv2",
    "imagenetv2-matched-frequency-format-val": "imagenetv2",
    "objectnet-1.0": "objectnet",
}


def canonical_name(name: str) -> str:
    """The name without the marks of its publisher: "wds_vtab-cifar10" is "cifar10"."""
    plain = re.sub(_PREFIXES, "", name.lower())
    plain = _ALIASES.get(plain, plain)
    plain = plain.removesuffix("_test")
    return _ALIASES.get(plain, plain)
