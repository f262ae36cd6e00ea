"""What a run of ``vlsuite xmai`` is made from, in names alone: its options, and its settings.

Nothing heavy is imported here: the command line reads the fields for ``--help``.
"""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from data_pipelines.options import option

#: How nouns and detections are matched, see ``eval.xmai.matching``.
Mode = Literal["direct", "sim", "mix"]

#: Which words count as true: attributes that were detected on the noun, words that the tagger
#: supports, or any.
Truth = Literal["detected", "clip", "none"]

#: What stands around an attribute when the tagger is asked: its caption, or the noun alone.
Around = Literal["caption", "noun"]

Compat = Literal["none", "upstream"]

#: Of the tagger's prompts without a caption.
TEMPLATE = "a photo of a {}"

#: What upstream puts before every sentence.
PREFIX = "This is "

#: Methods that insert what was seen, and hence cannot do without detections.
NEED_DETECTIONS = ("xmai", "random_attribute")

_GROUPS = 'attributes by group, {"colour": ["red", ...], ...}'
_AROUND = "what the tagger reads with an attribute (default: caption; boxes: noun)"
_TEMPLATE = f"of noun, {{}} for attribute and noun (default: '{TEMPLATE}')"
_NOUNS = "rules (English), or spacy:MODEL, a package, distribution or folder"


@dataclass(frozen=True, kw_only=True, slots=True)
class MethodSpec:
    """All that a method is made from; every field goes into the header of its file.

    Args:
        method: see --list-methods.
        seed: of methods that draw.
        scorer: contrastive model that measures d (default: d is 0).
        tagger: contrastive model that measures t (default: detections).
        masked_lm: folder or hub id; vocabulary: detected words alone, no model.
        matching: of nouns and detections: by word, by --similarity, or the latter where no word
            matches.
        threshold: of sim, -1 to 1; the default is the published one.
        similarity: of words: characters, spacy:MODEL, or an encoder's folder or hub id.
        weights: paper 1,5,5,0; readme 1,1,1,0; or numbers.
        k: candidates a gap.
        truth: which words may be inserted, see above.
        confidence: of detected attributes, 0 to 1.
        support: of the tagger, 0 to 1.
        max_insertions: a caption.
        blocked: people, race-words, none, or a file.
        prefix: before each sentence for the scorer.
        compat: upstream: the published behaviour with its faults, to compare.
        share: of the words that text-only methods change, 0 to 1.
        wordnet: folder of WordNet's files (eda, synonym; default: where nltk or the system keeps
            them).
        textattack_python: interpreter that has TextAttack, for methods textattack:RECIPE (default:
            this one).
        device: where models compute.
    """

    method: str = option(default="xmai", metavar="NAME")
    seed: int = 0
    scorer: str | None = option(default=None, metavar="MODEL")
    tagger: str | None = option(default=None, metavar="MODEL")
    masked_lm: str = option(default="vocabulary", metavar="NAME")
    nouns: str = option(_NOUNS, default="rules", metavar="FINDER")
    matching: Mode = "mix"
    threshold: float = 0.7
    similarity: str = option(default="characters", metavar="NAME")
    weights: str = "paper"
    k: int = 3
    truth: Truth = "detected"
    confidence: float = 0.5
    support: float = 0.5
    max_insertions: int = 3
    blocked: str = "people"
    groups: str | None = option(_GROUPS, default=None, metavar="FILE")
    template: str = option(_TEMPLATE, default=TEMPLATE)
    around: Around = option(_AROUND, default="caption")
    prefix: str = PREFIX
    compat: Compat = "none"
    share: float = 0.2
    wordnet: str | None = option(default=None, metavar="DIR")
    textattack_python: str | None = option(default=None, metavar="FILE")
    device: str = "cpu"

    def settings(self) -> dict[str, Any]:
        """For the header and for telling runs apart; where it computes is no part of it."""
        where = ("device", "textattack_python")
        return {key: value for key, value in asdict(self).items() if key not in where}


@dataclass(frozen=True, kw_only=True, slots=True)
class DetectSpec:
    """What detecting is made from.

    Args:
        tagger: contrastive model that sees attributes.
        detector: torchvision:NAME[:FILE], or a folder or hub id (DETR).
        min_score: of a box, 0 to 1; the default is the published one.
        max_boxes: of a picture; the default is the published one.
        min_attribute: probability from which an attribute is written.
        device: where models compute.
    """

    tagger: str = option(metavar="MODEL")
    detector: str | None = option(default=None, metavar="NAME")
    nouns: str = option(_NOUNS, default="rules", metavar="FINDER")
    groups: str | None = option(_GROUPS, default=None, metavar="FILE")
    around: Around = option(_AROUND, default="caption")
    template: str = option(_TEMPLATE, default=TEMPLATE)
    min_score: float = 0.4
    max_boxes: int = 50
    min_attribute: float = 0.1
    device: str = "cpu"
