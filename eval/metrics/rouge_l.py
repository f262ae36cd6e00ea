"""ROUGE-L of captions: the longest common subsequence of words (Lin 2004, ACL W04-1013, section 3).

With several references precision and recall are each the best over the references, and beta is
1.2: as in the COCO caption tool (read from its code).
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64

from eval.metrics.bleu import Words

BETA = 1.2


def rouge_l_values(
    captions: Sequence[Words], references: Sequence[Sequence[Words]]
) -> Float64[np.ndarray, " images"]:
    """ROUGE-L of each image, in [0, 1]; 0 for an empty caption.

    Args:
        captions: words of the generated caption of each image.
        references: words of each of its reference captions, at least one.
    """
    pairs = zip(captions, references, strict=True)
    return np.array([_value(words, own) for words, own in pairs], dtype=np.float64)


def _value(caption: Words, references: Sequence[Words]) -> float:
    common = [longest_common(caption, reference) for reference in references]
    precision = max(n / max(1, len(caption)) for n in common)
    recall = max(n / max(1, len(ref)) for n, ref in zip(common, references, strict=True))
    if not precision or not recall:
        return 0.0
    return (1 + BETA**2) * precision * recall / (recall + BETA**2 * precision)


def longest_common(first: Words, second: Words) -> int:
    """Words in the longest common subsequence, one row of the table at a time."""
    row = [0] * (len(second) + 1)
    for word in first:
        before, row = row, [0]
        for place, other in enumerate(second):
            same = before[place] + 1 if word == other else 0
            row.append(max(same, before[place + 1], row[place]))
    return row[-1]
