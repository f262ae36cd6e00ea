"""Properties of the noise protocol for any set of captions."""

from hypothesis import given, settings
from hypothesis import strategies as st

from data_pipelines.noise.captions import CaptionPair, Captions
from data_pipelines.noise.plan import NoiseConfig, make_plan

SETS = st.lists(
    st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=4), min_size=1, max_size=12
)
RATES = st.floats(0, 1)


def _pairs(images):
    return [
        (CaptionPair(f"{i:032x}", number), f"a {text} on {i % 3}")
        for i, texts in enumerate(images)
        for number, text in enumerate(texts)
    ]


def _plan(rows, **config):
    captions = Captions([pair for pair, _ in rows], [text for _, text in rows], {})
    plan = make_plan(captions, NoiseConfig(**config))
    return dict(zip(captions.pairs, plan.noisy, strict=True))


@settings(max_examples=60, deadline=None)
@given(SETS, RATES, st.integers(0, 5), st.sampled_from(["derangement", "uniform"]))
def test_captions_are_permuted_and_flagged_by_what_they_are(images, rate, seed, permutation):
    rows = _pairs(images)
    noisy = _plan(rows, mismatched=rate, seed=seed, permutation=permutation)
    assert sorted(caption.came_from for caption in noisy.values()) == sorted(p for p, _ in rows)
    text_of = dict(rows)
    for pair, caption in noisy.items():
        own = {text for other, text in rows if other.uid == pair.uid}
        assert caption.text == text_of[caption.came_from]
        assert (caption.kind == "mismatched") == (caption.text not in own)
    assert sum(c.kind != "clean" for c in noisy.values()) <= round(rate * len(rows))


@settings(max_examples=60, deadline=None)
@given(SETS, RATES, RATES, st.integers(0, 5))
def test_subsets_are_nested_and_partial_ones_apart(images, one, other, seed):
    """Partial captions are chosen alike whatever is mismatched besides."""
    rows = _pairs([[*texts, f"{i} x y"] for i, texts in enumerate(images)])
    low, high = sorted((one, other))
    few = _plan(rows, partial=low, seed=seed, kind="truncate")
    many = _plan(rows, partial=high, seed=seed, kind="truncate")
    both = _plan(rows, partial=low, mismatched=(1 - low) * 0.9, seed=seed, kind="truncate")
    partial = [
        {pair for pair, caption in plan.items() if caption.kind == "partial"}
        for plan in (few, many, both)
    ]
    assert partial[0] <= partial[1]
    assert partial[0] == partial[2] or len(partial[0]) == len(partial[2]) + 1  # rounding


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 40), RATES, RATES, st.integers(0, 5))
def test_mismatches_are_nested_where_all_captions_differ(count, one, other, seed):
    rows = [(CaptionPair(f"{i:032x}", 0), f"caption {i}") for i in range(count)]
    low, high = sorted((one, other))
    wrong = [
        {
            pair
            for pair, caption in _plan(rows, mismatched=rate, seed=seed).items()
            if caption.kind == "mismatched"
        }
        for rate in (low, high)
    ]
    assert wrong[0] <= wrong[1]
    for found, rate in zip(wrong, (low, high), strict=True):
        expected = round(rate * count)
        assert len(found) == (expected if expected > 1 else 0)


@settings(max_examples=40, deadline=None)
@given(SETS, st.randoms(use_true_random=False), st.sampled_from(["delete", "truncate", "swap"]))
def test_order_of_samples_does_not_matter(images, random, kind):
    rows = _pairs(images)
    shuffled = list(rows)
    random.shuffle(shuffled)
    config = {"mismatched": 0.5, "partial": 0.5, "kind": kind, "seed": 1}
    assert _plan(rows, **config) == _plan(shuffled, **config)
