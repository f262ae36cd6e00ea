"""Attributes that a picture can show, by group; within a group only one can be true of a thing.

The lists are our own choice of plain English words. A JSON file of the same form, group to words,
replaces them.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from data_pipelines.bounded_json import read_json
from eval.errors import EvaluationError

Groups = Mapping[str, tuple[str, ...]]


def words(text: str) -> frozenset[str]:
    """The words of a list."""
    return frozenset(text.split())


GROUPS: Groups = {
    "colour": (
        "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white",
        "gray",
    ),
    "size": ("small", "large"),
    "skin_tone": (
        "light skin tone", "medium-light skin tone", "medium skin tone", "medium-dark skin tone",
        "dark skin tone",
    ),
    "material": (
        "wooden", "metal", "plastic", "glass", "stone", "leather", "paper", "ceramic", "golden",
    ),
    "pattern": ("plain", "striped", "spotted", "checkered", "floral"),
    "state": ("open", "closed", "broken", "empty", "full", "wet"),
}  # fmt: skip

#: Groups that make sense of people and parts of them alone.
SKIN_GROUP = "skin_tone"

#: Words for the same attribute, so that truth and detections agree whatever they are called.
SYNONYMS: Mapping[str, str] = {
    "grey": "gray", "violet": "purple", "crimson": "red", "scarlet": "red", "golden": "golden",
    "gold": "golden", "big": "large", "huge": "large", "giant": "large", "great": "large",
    "little": "small", "tiny": "small", "mini": "small", "wood": "wooden", "metallic": "metal",
}  # fmt: skip

#: Other adjectives that captions use, for where no parser says what is one.
OTHER_ADJECTIVES: frozenset[str] = words(
    """big little tiny huge giant tall short long wide narrow thin thick fat slim round square flat
    sharp pointed curved straight soft hard rough smooth shiny dark light bright pale colorful
    colourful clear cloudy sunny rainy snowy foggy hot cold warm cool dry dirty clean dusty
    muddy old new young ancient modern vintage antique elderly adult baby beautiful pretty
    handsome cute ugly lovely nice fancy elegant simple plain happy sad angry tired sleepy
    hungry busy quiet loud calm wild tame strong weak heavy fast slow deep shallow high low
    fresh ripe raw cooked sweet sour spicy salty rotten delicious tasty frozen grilled fried
    baked silver gold golden beige tan violet turquoise crimson scarlet navy maroon grey furry
    fluffy hairy bald curly bearded blond blonde wood steel iron brick concrete rubber cotton
    silk woolen woollen brass bronze copper folded crumpled torn cracked shattered rusty worn
    faded messy tidy crowded lonely single double tropical rural urban distant nearby left right
    upper lower front rear inner outer upright standing sitting sleeping running walking flying
    smiling laughing crying winged toothed horned electric magnetic digital mechanical musical
    medical military royal sacred public private local famous common rare strange funny serious
    brave shy friendly fierce dangerous gentle lazy clever transparent translucent glossy matte
    velvet woven knitted patterned dotted polka plaid"""
)


def load_groups(path: Path | None) -> Groups:
    """The built-in groups, or those of a JSON file: ``{"colour": ["red", ...], ...}``.

    Raises:
        EvaluationError: no such file, no JSON, or another form.
    """
    if path is None:
        return GROUPS
    try:
        found = read_json(path)
    except (OSError, ValueError) as error:
        raise EvaluationError(f"cannot read attribute groups from {path} ({error})") from error
    if not isinstance(found, dict) or not all(_are_words(words) for words in found.values()):
        raise EvaluationError(
            f'{path} holds no attribute groups; write {{"colour": ["red", "blue"], ...}}'
        )
    return {group: tuple(words) for group, words in found.items()}


def canonical(attribute: str) -> str:
    """One spelling for attributes that mean the same."""
    lower = attribute.lower().strip()
    return SYNONYMS.get(lower, lower)


def group_of(attribute: str, groups: Groups = GROUPS) -> str | None:
    """The group of an attribute; None: it is in none."""
    wanted = canonical(attribute)
    return next((group for group, words in groups.items() if wanted in words), None)


def all_words(groups: Groups) -> frozenset[str]:
    """Every attribute of every group."""
    return frozenset(word for words in groups.values() for word in words)


def _are_words(words: object) -> bool:
    return isinstance(words, Sequence) and all(isinstance(word, str) for word in words)
