"""DataComp's basic filter, and the weaker caption gate of its image-based one.

Gadre et al. 2023, arXiv 2304.14108, appendix; rules as in the authors' ``apply_filter.py``:

==============  ==================================================================
gate            a caption passes if
==============  ==================================================================
``basic``       language en, more than 2 ``str.split`` words, more than 5 characters
``image-based`` language en, more than 1 fastText token, more than 5 characters
==============  ==================================================================

``basic`` also wants a picture whose shorter side has 200 pixels or more and whose sides differ by
a factor of 3.0 at most, both of the picture before it was scaled for its shard. Characters and
words are counted in the caption as stored.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from data_pipelines.curation.filter import Rule, SampleFilter, StageInput, filters, quoted
from data_pipelines.curation.filters.language import tell_of_short_captions

_LEAST_SIDE, _LARGEST_ASPECT = 200, 3.0

_WORDS = {"basic": ("stored_words", 2), "image-based": ("stored_tokens", 1)}
_LEAST_CHARS = 5


@filters.register("datacomp-basic")
@dataclass(frozen=True, kw_only=True)
class DataCompBasic(SampleFilter):
    """Settings of DataComp's rules.

    Args:
        gate: "basic", or "image-based": the caption gate alone that stands before DataComp's
            image-based filter.
        language: the code that passes; empty leaves the language out, which is then another
            filter than DataComp's.
    """

    gate: Literal["basic", "image-based"] = "basic"
    language: str = "en"

    def needs(self) -> tuple[str, ...]:
        """Columns of captions, of the original size, and the language where it counts."""
        sides = ("original_width", "original_height") if self.gate == "basic" else ()
        spoken = ("language", "caption_chars") if self.language else ()
        return (_WORDS[self.gate][0], "stored_chars", *sides, *spoken)

    def rules(self, samples: StageInput) -> Sequence[Rule]:
        """In the order of the reference code."""
        words, most = _WORDS[self.gate]
        found = [
            Rule("caption too short (words)", f"NOT {words} > {most}", words, str(most)),
            Rule(
                "caption too short (characters)",
                f"NOT stored_chars > {_LEAST_CHARS}",
                "stored_chars",
                str(_LEAST_CHARS),
            ),
        ]
        if self.language:
            other = f"language != {quoted(self.language)}"
            tell_of_short_captions(samples, dropped=other)
            found.insert(0, Rule("other language", other, detail="language"))
        if self.gate == "basic":
            short = "least(original_width, original_height)"
            aspect = f"greatest(original_width, original_height) / {short}"
            found += [
                Rule("picture too small", f"NOT {short} >= {_LEAST_SIDE}", short, str(_LEAST_SIDE)),
                Rule("picture too long", f"NOT {aspect} <= {_LARGEST_ASPECT}", aspect, "3.0"),
            ]
        return found
