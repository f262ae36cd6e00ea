"""Mismatched captions: a permutation of the captions of a seeded subset of the pairs."""

from collections.abc import Callable, Sequence

from data_pipelines.noise.captions import Captions
from data_pipelines.noise.order import seeded_order

PERMUTATIONS = ("derangement", "uniform")

#: Partners looked at for a pair that may not keep what it drew; smaller sets are seen whole.
_MAX_PARTNERS = 4096


def mismatch(
    captions: Captions, chosen: Sequence[int], *, permutation: str, seed: int
) -> dict[int, int]:
    """Which caption each chosen pair receives, as positions in ``captions``.

    "uniform" is the protocol of RDE (CVPR 2024; read from the indices that its code ships): any
    permutation of the subset, each as likely, so that a pair may keep its caption or receive
    another one that is true of its image. "derangement" is our own measure against that: no
    caption is true of the image it goes to (see ``Captions.describes``). It starts from the
    uniform permutation and exchanges the captions of each offending pair with the nearest pair
    that admits it; pairs for which none does keep their caption.

    Args:
        chosen: positions of the subset, without repetitions.
        permutation: one of ``PERMUTATIONS``.
    Returns:
        A permutation of ``chosen``; every caption of the subset occurs once.
    """
    receivers = seeded_order(chosen, captions.pairs, seed=seed, purpose="receive")
    given = seeded_order(chosen, captions.pairs, seed=seed, purpose="give")
    if permutation == "derangement":

        def fits(place: int, caption: int) -> bool:
            return not captions.describes(caption, image=receivers[place])

        left_over = _exchange(given, fits)
        _keep_own(receivers, given, left_over, fits)
    return dict(zip(receivers, given, strict=True))


def _exchange(given: list[int], fits: Callable[[int, int], bool]) -> list[int]:
    """Exchange captions in place until every place fits; the places where none could be had."""
    size = len(given)
    left_over = []
    for place in range(size):
        if fits(place, given[place]):
            continue
        for step in range(1, min(size, _MAX_PARTNERS)):
            other = (place + step) % size
            if fits(place, given[other]) and fits(other, given[place]):
                given[place], given[other] = given[other], given[place]
                break
        else:
            left_over.append(place)
    return [place for place in left_over if not fits(place, given[place])]


def _keep_own(
    receivers: list[int],
    given: list[int],
    left_over: list[int],
    fits: Callable[[int, int], bool],
) -> None:
    """Take places out of the permutation: they keep their own caption.

    Whoever had it receives what the place had drawn, or is taken out as well where that is true
    of its image. Each turn takes one more place out, so this ends.
    """
    holder = {caption: place for place, caption in enumerate(given)}
    while left_over:
        place = left_over.pop()
        own, drawn = receivers[place], given[place]
        other = holder[own]
        if other == place or fits(place, drawn):
            continue
        given[place], given[other] = own, drawn
        holder[own], holder[drawn] = place, other
        if drawn == receivers[other] or not fits(other, drawn):
            left_over.append(other)
