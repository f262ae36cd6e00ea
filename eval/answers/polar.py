"""Yes or no: what a response to such a question answers; None rather than a guess."""

import re

from eval.answers.cleaning import final_text
from eval.answers.reading import chosen_option

#: What stands for an answer where it is the first word of a response, or all of it.
_YES = (
    "yes|yeah|yep|yup|true|correct|affirmative|s\u00ed|sim|oui|ja|jawohl|tak|ano|evet|"
    "\u0434\u0430|\u0442\u0430\u043a|\u0646\u0639\u0645|\u05db\u05df|\u0939\u093e\u0901|"
    "\u662f\u7684?|\u5bf9|\u5c0d|\u306f\u3044|\u30a4\u30a8\u30b9|\ub124|\uc608"
)
_NO = (
    "no|nope|nah|false|incorrect|wrong|negative|n\u00e3o|non|nein|nee|nie|ne|hay\u0131r|"
    "\u043d\u0435\u0442|\u043d\u0456|\u0644\u0627|\u05dc\u05d0|\u0928\u0939\u0940\u0902|"
    "\u5426|\u4e0d\u662f?|\u6ca1\u6709|\u4e0d\u5bf9|\u3044\u3044\u3048|\uc544\ub2c8\uc694?|\uc544\ub2c8\uc624"
)
_ALONE = re.compile(rf"[\W_]*(?:({_YES})|({_NO}))[\W_]*", re.IGNORECASE)


def yes_or_no(text: str) -> bool | None:
    """Whether the response says yes, None where it says neither or both.

    Args:
        text: what a model wrote. A word alone counts in any of the languages here; longer texts
            are read as English, by the rules of ``chosen_option``.
    """
    alone = _ALONE.fullmatch(final_text(text))
    if alone:
        return alone.group(1) is not None
    chosen = chosen_option(text, ("yes", "no"), has_letters=False)
    return None if chosen is None else chosen == 0
