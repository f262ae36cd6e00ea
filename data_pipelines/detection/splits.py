"""Which names count as novel: the splits that published figures are of, or a file's own.

========== =============================================================================
coco-48-17 48 base and 17 novel names of COCO; the other 15 of 80 are left out (Bansal et
           al. 2018, arXiv 1804.04340, as used since Zareian et al. 2021, arXiv 2011.10678)
lvis-rare  the rare names of LVIS are novel, common and frequent ones base (Gu et al. 2022,
           arXiv 2104.13921, section 4.1): 866 and 337 in LVIS v1
none       no groups
auto       the groups that the file states; of LVIS lvis-rare; else none
FILE       a text file with a novel name a line; every other name is base
========== =============================================================================
"""

from pathlib import Path

from data_pipelines.bounded_files import media_bytes
from data_pipelines.detection.vocabulary import Vocabulary
from data_pipelines.errors import ConfigError, DataError
from data_pipelines.text_lines import lines_of

COCO_NOVEL = (
    *("airplane", "bus", "cat", "dog", "cow", "elephant", "umbrella", "tie", "snowboard"),
    *("skateboard", "cup", "knife", "cake", "couch", "keyboard", "sink", "scissors"),
)
COCO_BASE = (
    *("person", "bicycle", "car", "motorcycle", "train", "truck", "boat", "bench", "bird"),
    *("horse", "sheep", "bear", "zebra", "giraffe", "backpack", "handbag", "suitcase"),
    *("frisbee", "skis", "kite", "surfboard", "bottle", "fork", "spoon", "bowl", "banana"),
    *("apple", "sandwich", "orange", "broccoli", "carrot", "pizza", "donut", "chair", "bed"),
    *("toilet", "tv", "laptop", "mouse", "remote", "microwave", "oven", "toaster"),
    *("refrigerator", "book", "clock", "vase", "toothbrush"),
)

SPLITS = ("auto", "coco-48-17", "lvis-rare", "none")


def split_vocabulary(vocabulary: Vocabulary, split: str) -> Vocabulary:
    """The vocabulary with the groups of a split; names that belong to neither are left out.

    Args:
        split: one of ``SPLITS``, or the path of a file with novel names.
    Raises:
        ConfigError: the split is unknown.
        DataError: the vocabulary is not of the set that the split is of.
    """
    if split == "auto":
        split = _stated(vocabulary)
    if split == "stated":
        return vocabulary
    if split == "none":
        plain = (category._replace(group=None) for category in vocabulary.categories)
        return Vocabulary(tuple(plain))
    if split == "coco-48-17":
        return _coco(vocabulary)
    if split == "lvis-rare":
        return _lvis(vocabulary)
    return vocabulary.with_groups(_novel_names(split))


def _stated(vocabulary: Vocabulary) -> str:
    if any(category.group for category in vocabulary.categories):
        return "stated"
    return "lvis-rare" if _is_lvis(vocabulary) else "none"


def _is_lvis(vocabulary: Vocabulary) -> bool:
    return all(category.frequency for category in vocabulary.categories)


def _coco(vocabulary: Vocabulary) -> Vocabulary:
    wanted = (*COCO_BASE, *COCO_NOVEL)
    if missing := [name for name in wanted if name not in vocabulary.row_of_name]:
        raise DataError(
            f"split coco-48-17: the annotations have no category '{missing[0]}' (of "
            f"{len(missing)} that lack); give COCO's own instances file, or another split"
        )
    return vocabulary.only(wanted).with_groups(COCO_NOVEL)


def _lvis(vocabulary: Vocabulary) -> Vocabulary:
    if not _is_lvis(vocabulary):
        raise DataError(
            "split lvis-rare: there are categories without 'frequency'; give LVIS's own file, or "
            "another split"
        )
    rare = vocabulary.rows_of_frequency("r")
    return vocabulary.with_groups(vocabulary.names[row] for row in rare)


def _novel_names(path: str) -> list[str]:
    try:
        lines = lines_of(media_bytes(Path(path)).decode("utf-8-sig"))
    except FileNotFoundError:
        raise ConfigError(
            f"unknown split '{path}'; known: {', '.join(SPLITS)}, or a file with a novel name a "
            "line"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read the novel names in {path}: {error}") from error
    names = [line.strip() for line in lines if line.strip()]
    if not names:
        raise DataError(f"{path} names no novel category; write one a line")
    return names
