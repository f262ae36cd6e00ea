"""Text-only perturbers: how much they change, and that rows depend on nothing but themselves."""

import difflib
import random
from collections import Counter
from pathlib import Path

import pytest

from eval.errors import EvaluationError
from eval.xmai.perturbers.contract import (
    WORD,
    Perturber,
    PerturberOptions,
    load_perturber,
    number_of,
    perturbed_rows,
    perturbers,
)
from eval.xmai.perturbers.eda import swap
from eval.xmai.perturbers.textattack_recipes import TextAttackPerturber
from eval.xmai.perturbers.typo import NEIGHBOURS, slip
from eval.xmai.perturbers.wordnet import open_wordnet
from tests.support.masked_models import random_masked_lm
from vlsuite.errors import UnknownNameError

_CAPTIONS = (
    "A small dog runs on the wet grass near a house.",
    "Two women, one of them old, don't look at the camera",
    "dog",
    "",
    "été — 🙂!",
)


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> PerturberOptions:
    """With a WordNet of four words and a random language model."""
    folder = tmp_path_factory.mktemp("parts")
    return PerturberOptions(
        wordnet=str(_tiny_wordnet(folder / "dict")),
        masked_lm=str(random_masked_lm(folder / "bert", _CAPTIONS[:2])),
    )


def _tiny_wordnet(folder: Path) -> Path:
    """The files of wndb(5WN) with two synsets."""
    folder.mkdir()
    header = "  1 a comment\n"
    noun = f"{header}{{at:08d}} 05 n 03 dog 0 hound 0 domestic_dog 0 000 | a canine\n"
    noun = noun.format(at=len(header))
    adjective = f"{header}{{at:08d}} 00 s 02 small 0 little(a) 0 000 | not large\n"
    adjective = adjective.format(at=len(header))
    (folder / "data.noun").write_text(noun)
    (folder / "data.adj").write_text(adjective)
    (folder / "index.noun").write_text(
        f"{header}dog n 1 1 @ 1 1 {len(header):08d}  \nhound n 1 1 @ 1 0 {len(header):08d}  \n"
    )
    (folder / "index.adj").write_text(f"{header}small a 1 0 1 0 {len(header):08d}  \n")
    for name in ("index.verb", "data.verb", "index.adv", "data.adv"):
        (folder / name).write_text(header)
    return folder


def _all(options: PerturberOptions) -> dict[str, Perturber]:
    names = (name for name in perturbers.names() if not name.endswith(":"))
    return {name: load_perturber(name, options) for name in names}


def test_the_published_baselines_are_there() -> None:
    assert {"deletion", "eda", "synonym", "typo", "masked_insert", "masked_replace",
            "contractions"} <= set(perturbers.names())  # fmt: skip


def test_rows_depend_on_caption_id_and_seed_alone(options: PerturberOptions) -> None:
    ids = [f"u{n}#0" for n in range(len(_CAPTIONS))]
    for name, perturber in _all(options).items():
        whole = perturbed_rows(perturber, _CAPTIONS, row_ids=ids, seed=1)
        backwards = perturbed_rows(perturber, _CAPTIONS[::-1], row_ids=ids[::-1], seed=1)
        assert backwards[::-1] == whole, name
        alone = [
            perturber.perturb(caption, row_id=own, seed=1)
            for caption, own in zip(_CAPTIONS, ids, strict=True)
        ]
        assert alone == whole, name
        assert whole[3] == "", name


def test_other_rows_and_seeds_draw_otherwise(options: PerturberOptions) -> None:
    for name in ("deletion", "typo", "eda", "masked_insert"):
        perturber = load_perturber(name, options)
        found = {perturber.perturb(_CAPTIONS[0], row_id=f"r{n}", seed=0) for n in range(7)}
        assert len(found) > 3, name
        assert len({perturber.perturb(_CAPTIONS[0], row_id="r", seed=n) for n in range(7)}) > 3


def test_deletion_takes_a_share_and_leaves_one(options: PerturberOptions) -> None:
    perturber = load_perturber("deletion", options)
    before = WORD.findall(_CAPTIONS[0])
    after = WORD.findall(perturber.perturb(_CAPTIONS[0], row_id="r", seed=0))
    assert len(after) == len(before) - 2  # 20% of eleven
    assert not Counter(after) - Counter(before)
    assert perturber.perturb("dog", row_id="r", seed=0) == "dog"
    assert len(WORD.findall(perturber.perturb("a dog", row_id="r", seed=0))) == 1


def test_typos_are_one_slip_a_word(options: PerturberOptions) -> None:
    for n in range(200):
        word = slip("chair", random.Random(n))
        assert word[0] == "c"
        assert abs(len(word) - 5) <= 1
        assert difflib.SequenceMatcher(None, "chair", word).ratio() >= 0.7
    assert "w" in NEIGHBOURS["q"]
    assert "p" not in NEIGHBOURS["q"]
    assert all(key in NEIGHBOURS[other] for key in NEIGHBOURS for other in NEIGHBOURS[key])


def test_synonyms_come_from_wordnet_and_keep_capitals(options: PerturberOptions) -> None:
    wordnet = open_wordnet(options.wordnet)
    assert wordnet.synonyms("dog") == ("hound",)
    assert wordnet.synonyms("Small") == ("little",)
    assert wordnet.synonyms("near") == ()
    perturber = load_perturber("synonym", options)
    assert perturber.perturb("Dog near the", row_id="r", seed=0) == "Hound near the"
    assert perturber.perturb("the near", row_id="r", seed=0) == "the near"


@pytest.mark.skipif(
    not Path("/usr/share/wordnet/index.noun").is_file(), reason="needs WordNet in /usr/share"
)
def test_installed_wordnet() -> None:
    wordnet = open_wordnet("/usr/share/wordnet")
    assert "automobile" in wordnet.synonyms("car")
    assert "large" in wordnet.synonyms("big")


def test_missing_wordnet_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="--wordnet"):
        open_wordnet(str(tmp_path))


def test_swap_keeps_the_words_and_what_is_between(options: PerturberOptions) -> None:
    found = swap("one, two; three", random.Random(0))
    assert sorted(WORD.findall(found)) == ["one", "three", "two"]
    assert WORD.sub("", found) == ", ; "
    assert found != "one, two; three"


def test_contractions_go_both_ways(options: PerturberOptions) -> None:
    perturber = load_perturber("contractions", options)
    assert perturber.perturb("It is not here; they don't know", row_id="", seed=0) == (
        "It's not here; they do not know"
    )
    assert perturber.perturb("a plain caption", row_id="", seed=0) == "a plain caption"


def test_masked_insertion_inserts_and_replacement_replaces(options: PerturberOptions) -> None:
    before = WORD.findall(_CAPTIONS[0])
    inserted = load_perturber("masked_insert", options).perturb(_CAPTIONS[0], row_id="r", seed=0)
    assert len(WORD.findall(inserted)) == len(before) + number_of(0.2, len(before))
    assert not Counter(before) - Counter(WORD.findall(inserted))
    replaced = load_perturber("masked_replace", options).perturb(_CAPTIONS[0], row_id="r", seed=0)
    assert len(WORD.findall(replaced)) == len(before)
    with pytest.raises(EvaluationError, match="--masked-lm"):
        load_perturber("masked_insert", PerturberOptions())


def test_names_that_are_none(options: PerturberOptions) -> None:
    with pytest.raises(UnknownNameError, match="deletion"):
        load_perturber("deletions", options)
    with pytest.raises(EvaluationError, match="clare"):
        load_perturber("textattack:nonsense", options)


def test_textattack_without_textattack_is_one_line(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho \"ModuleNotFoundError: No module named 'x'\" >&2\nexit 1\n")
    python.chmod(0o755)
    with pytest.raises(EvaluationError, match="ModuleNotFoundError") as caught:
        TextAttackPerturber("eda", str(python)).perturb("a dog", row_id="r", seed=0)
    assert "\n" not in str(caught.value)


def test_textattack_rows_come_back_in_order(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\nsed -e "s/.*text\\": //" -e "s/, \\"key.*//"\n')
    python.chmod(0o755)
    rows = TextAttackPerturber("eda", str(python)).perturb_many(
        ["a dog", "été"], row_ids=["1", "2"], seed=0
    )
    assert rows == ["a dog", "été"]


@pytest.mark.parametrize(("share", "words", "count"), [(0.2, 11, 2), (0.2, 1, 1), (1.0, 3, 3),
                                                        (0.0, 5, 1), (0.2, 0, 0)])  # fmt: skip
def test_share_of_words(share: float, words: int, count: int) -> None:
    assert number_of(share, words) == count
