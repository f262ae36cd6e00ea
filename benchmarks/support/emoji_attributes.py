"""Captions whose attribute is known from their own words: taken out, it is the truth to be found.

"red heart" becomes "heart" with the truth {"colour": "red"}, "woman with dark skin tone" becomes
"woman" with {"skin_tone": "dark skin tone"}. Names of emoji and stamps are such captions. As a
command it writes the stripped shards and says how many truths of which kind there are.
"""

import argparse
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from benchmarks.support.program import run_as_program
from data_pipelines.schema import Sample, is_uid, make_uid
from data_pipelines.shards.atomic import write_file
from data_pipelines.shards.pairs import image_of
from data_pipelines.shards.write import write_benchmark
from eval.data.dataset import EvalDataset
from eval.data.folders import open_dataset
from eval.xmai.attributes import GROUPS, SKIN_GROUP, SYNONYMS, canonical
from eval.xmai.records import uids_of

Truth = dict[str, str]

#: Beside the shards: picture to truth.
TRUTH_FILE = "truth.json"
#: Groups that names speak of reliably.
NAMED_GROUPS = ("colour", "size")

_TONE = "|".join(sorted(GROUPS[SKIN_GROUP], key=len, reverse=True))
_TONES = re.compile(rf"(?:\s+with)?\s+({_TONE})(?=[\s.,!]*$)|\b({_TONE})\s+", re.IGNORECASE)
_ARTICLE = re.compile(r"\b(an?)(\s+)([^\W_]+)", re.IGNORECASE)


class Stripped(NamedTuple):
    """A caption without its attributes, and what they were by group."""

    caption: str
    truth: Truth


def attribute_truth(caption: str) -> Stripped | None:
    """The caption without its attributes and the attributes by group; None: it has none.

    An attribute counts where it stands before another word, once a group. Two people of different
    tone, or two colours, are no truth about one noun: None.
    """
    tones = {(first or second).lower() for first, second in _TONES.findall(caption)}
    if len(tones) > 1:
        return None
    truth: Truth = {SKIN_GROUP: tones.pop()} if tones else {}
    text = _TONES.sub("", caption)
    if "skin tone" in text.lower():
        return None
    for group in NAMED_GROUPS:
        found = list(_pattern(group).finditer(text))
        if len(found) > 1:
            return None
        if found:
            truth[group] = canonical(found[0].group(1))
            text = text[: found[0].start()] + text[found[0].end() :]
    if not truth or not re.search(r"[^\W\d_]{2,}", text):
        return None
    return Stripped(_with_articles(text), truth)


def write_stripped_shards(
    source: EvalDataset, out: Path, *, one_per_caption: bool = False
) -> Mapping[str, Truth]:
    """Write the pictures that have a truth, with their stripped captions; returns the truths.

    Args:
        source: pictures with captions.
        out: gets a CLIP_benchmark folder for retrieval, and ``truth.json``.
        one_per_caption: leave out pictures whose first stripped caption is taken: emoji that
            differ in skin tone alone then count once, and retrieval has one right answer.
    Raises:
        DataError: no caption has a truth, or ``out`` holds something else.
    """
    truths: dict[str, Truth] = {}
    write_benchmark(
        _samples(source, truths, one_per_caption=one_per_caption), out, kind="retrieval"
    )
    write_file(out / TRUTH_FILE, json.dumps(truths, indent=1).encode())
    return truths


def _samples(
    source: EvalDataset, truths: dict[str, Truth], *, one_per_caption: bool
) -> Iterator[Sample]:
    assert source.captions is not None, "opened for retrieval"
    taken: set[str] = set()
    for row, uid in enumerate(uids_of(source)):
        captions, truth = _of_picture(source.captions[row])
        if not captions or (one_per_caption and captions[0] in taken):
            continue
        taken.add(captions[0])
        image = image_of(source.images.members(row))
        own = uid if is_uid(uid) else make_uid(source.name, uid, image.data)
        truths[own] = truth
        yield Sample(
            uid=own,
            image=image.data,
            image_suffix=image.suffix,
            captions=captions,
            provenance={"source": source.name, "key": uid},
        )


def _of_picture(captions: tuple[str, ...]) -> tuple[tuple[str, ...], Truth]:
    """Stripped captions that agree about the truth; none where they contradict each other."""
    found = [one for one in map(attribute_truth, captions) if one]
    truth: Truth = {}
    for one in found:
        for group, value in one.truth.items():
            if truth.setdefault(group, value) != value:
                return (), {}
    full = [one.caption for one in found if one.truth == truth]
    return tuple(dict.fromkeys(full)), truth


def _pattern(group: str) -> re.Pattern[str]:
    words = [*GROUPS[group], *(x for x, y in SYNONYMS.items() if y in GROUPS[group])]
    return re.compile(rf"(?<![\w\-])({'|'.join(words)})\s+(?=[^\W\d_])", re.IGNORECASE)


def _with_articles(text: str) -> str:
    """With "a" and "an" as the words behind them now need."""
    from eval.xmai.articles import sounds_like_vowel

    def mended(found: re.Match[str]) -> str:
        article = "an" if sounds_like_vowel(found.group(3)) else "a"
        return f"{article if found.group(1)[0].islower() else article.capitalize()}" + (
            found.group(2) + found.group(3)
        )

    return _ARTICLE.sub(mended, text).strip()


def main() -> int:
    """Write stripped shards; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", help="captioned pictures as for 'vlsuite eval --data'")
    parser.add_argument("--split", default="test", help="of a CLIP_benchmark folder")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--one-per-caption", action="store_true", help="see write_stripped_shards")
    args = parser.parse_args()
    source = open_dataset(args.data, split=args.split, task="retrieval")
    truths = write_stripped_shards(source, args.out, one_per_caption=args.one_per_caption)
    counts = Counter(f"{group}: {value}" for own in truths.values() for group, value in own.items())
    for name, count in sorted(counts.items()):
        print(f"{name:32} {count:>6,}")
    print(f"{len(truths):,} of {len(source):,} pictures -> {args.out}")
    return 0


if __name__ == "__main__":
    run_as_program(main)
