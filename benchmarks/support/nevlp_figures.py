"""What ``nevlp_study`` measures of trained NEVLP models."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Int64
from safetensors.torch import load_file

from benchmarks.support.twin_galleries import galleries, part_of, twin_groups
from eval.data.dataset import EvalDataset
from eval.data.folders import open_dataset
from eval.embedding.decode import StreamingDecoder
from eval.embedding.embedder import StreamingEmbedder
from eval.embedding.pair_logits import pair_logits, union_of
from eval.metrics.caption_words import caption_words
from eval.metrics.captions import CIDER_RANGE
from eval.metrics.cider import cider_values
from eval.metrics.clustered import clustered_mean
from eval.metrics.paired import paired_means
from eval.metrics.ranking import best_entries
from eval.metrics.reranking import reranked_places
from eval.results import Score
from eval.zero_shot.retrieval import CosinePlaces, Gallery, cosine_places, gallery_of
from vlsuite.models.language.causal_lm import load_language_model
from vlsuite.models.nevlp.model import Nevlp
from vlsuite.models.opening import open_model

_MAX_TOKENS = 20


class Hits(NamedTuple):
    """Whether each query's best answer is right, by cosine and after matching.

    ``groups`` names each query's group of twins: what is asked about them is not independent.
    """

    before: Bool[np.ndarray, " queries"]
    after: Bool[np.ndarray, " queries"]
    groups: Int64[np.ndarray, " queries"]


def open_run(run: Path) -> Nevlp:
    """The model of a finished run."""
    model = open_model(str(run))
    assert isinstance(model, Nevlp)
    return model


def caption_figures(model: Nevlp, folder: Path, language_model: Path, *, seed: int) -> dict:
    """CIDEr-D of the model and of its language model alone, greedy and sampled, and the gains."""
    dataset = open_dataset(str(folder))
    assert dataset.captions is not None
    written, rows = [], []
    everything = np.arange(len(dataset), dtype=np.int64)
    for batch in _embedder().pictures(model, dataset, everything):
        written += model.caption(batch.images, max_tokens=_MAX_TOKENS)
        rows += batch.rows.tolist()
    references = [[caption_words(c) for c in dataset.captions[row]] for row in rows]
    alone = _written_blind(language_model, len(rows), seed=seed)
    ciders = {
        name: cider_values([caption_words(text) for text in texts], references)
        for name, texts in {"nevlp": written, **alone}.items()
    }
    each = np.arange(len(rows))
    figures: dict[str, Any] = {
        name: _numbers(clustered_mean(values, each, seed=seed, unit="number", bounds=CIDER_RANGE))
        for name, values in ciders.items()
    }
    for name in alone:
        gain = paired_means(ciders["nevlp"], ciders[name], bounds=(-10.0, 10.0), seed=seed)
        figures[f"gain_over_{name}"] = _numbers(gain)
    figures["examples"] = written[:8]
    return figures


def retrieval_hits(
    model: Nevlp, folder: Path, *, candidates: int, scaled: bool = True
) -> dict[str, Hits]:
    """First places in both directions, by cosine and by matching log-odds plus cosine.

    Args:
        folder: of emoji; asked about in galleries without twins (see ``twin_galleries``).
        candidates: of each query that are matched.
        scaled: the cosine is multiplied by the logit scale first (see ``eval.matching.rerank``).
    """
    dataset, embedder = open_dataset(str(folder)), _embedder()
    everything = gallery_of(
        dataset, embedder.images(model, dataset), model, embedder, captions_per_image=None
    )
    groups = twin_groups(dataset)[everything.image_rows]
    found = []
    for chosen in galleries(groups):
        gallery = part_of(everything, chosen)
        after = _after_matching(model, dataset, gallery, candidates=candidates, scaled=scaled)
        before, own = cosine_places(gallery), groups[chosen]
        found.append(
            {
                "image_to_text": Hits(before.image_to_text == 0, after.image_to_text == 0, own),
                "text_to_image": Hits(
                    before.text_to_image == 0, after.text_to_image == 0, own[gallery.owners]
                ),
            }
        )
    return {name: joined([one[name] for one in found]) for name in found[0]}


def joined(parts: Sequence[Hits]) -> Hits:
    """The queries of several galleries, or of several models, after one another."""
    return Hits(*(np.concatenate(values) for values in zip(*parts, strict=True)))


def _after_matching(
    model: Nevlp, dataset: EvalDataset, gallery: Gallery, *, candidates: int, scaled: bool
) -> CosinePlaces:
    images, texts, owners = gallery.image_embeds, gallery.text_embeds, gallery.owners
    of_images = best_entries(images, texts, count=candidates).cpu().numpy()
    of_texts = best_entries(texts, images, count=candidates).cpu().numpy()
    pairs = union_of(of_images, of_texts)
    logits = pair_logits(model, _embedder(), dataset, gallery.image_rows, gallery.captions, pairs)
    cosines = (images[pairs.images] * texts[pairs.texts]).sum(dim=1).cpu().numpy()
    scores = logits + cosines * (model.logit_scale if scaled else 1.0)
    places = cosine_places(gallery)
    own_images = np.broadcast_to(np.arange(len(of_images))[:, None], of_images.shape)
    own_texts = np.broadcast_to(np.arange(len(of_texts))[:, None], of_texts.shape)
    return CosinePlaces(
        reranked_places(
            of_images,
            scores[pairs.places(own_images, of_images)],
            owners[of_images] == own_images,
            places.image_to_text,
        ),
        reranked_places(
            of_texts,
            scores[pairs.places(of_texts, own_texts)],
            of_texts == owners[:, None],
            places.text_to_image,
        ),
    )


def rerank_figures(hits: dict[str, Hits], *, seed: int) -> dict[str, Any]:
    """R@1 before and after, in percent, and the paired gain in points."""
    return {
        direction: {
            "before": round(100 * float(own.before.mean()), 2),
            "after": round(100 * float(own.after.mean()), 2),
            "gain": _difference(own.after, own.before, own.groups, seed=seed),
        }
        for direction, own in hits.items()
    }


def concept_figures(
    with_concepts: dict[str, Hits], without: dict[str, Hits], *, seed: int
) -> dict[str, Any]:
    """R@1 after matching of two models, in percent, and the paired difference in points."""
    return {
        direction: {
            "with": round(100 * float(own.after.mean()), 2),
            "without": round(100 * float(without[direction].after.mean()), 2),
            "gain": _difference(own.after, without[direction].after, own.groups, seed=seed),
        }
        for direction, own in with_concepts.items()
    }


def training_figures(run: Path) -> dict[str, float]:
    """Mean terms of the loss over the last tenth of a run.

    An "itm" of H(1/3) = 0.6365 would say that matching learned nothing but its prior.
    """
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    logged = [line for line in lines if line["kind"] == "train"]
    last = logged[-max(1, len(logged) // 10) :]
    names = ("itc", "itm", "itm_correct", "itg")
    return {
        name: round(float(np.mean([line["terms"][name] for line in last])), 4) for name in names
    }


def frozen_parts_identical(run: Path, image_tower: Path, language_model: Path) -> bool:
    """Whether a run's copies of the frozen parts hold the very weights it started from."""
    tower, language = "open_clip_model.safetensors", "model.safetensors"
    pairs = [
        (image_tower / "export" / tower, run / "export" / "image_tower" / tower),
        (language_model / language, run / "export" / "language_model" / language),
    ]
    for before, after in pairs:
        old, new = load_file(before), load_file(after)
        if old.keys() != new.keys() or not all(torch.equal(old[n], new[n]) for n in old):
            return False
    return True


def _written_blind(language_model: Path, count: int, *, seed: int) -> dict[str, list[str]]:
    """What the language model writes without a picture: one text for all, or one drawn for each."""
    language = load_language_model(str(language_model), context_length=32)
    ids = torch.tensor([[language.texts.begin]])
    options = {
        "attention_mask": torch.ones_like(ids),
        "max_new_tokens": _MAX_TOKENS,
        "pad_token_id": language.texts.pad,
    }
    greedy = language.model.generate(ids, do_sample=False, **options)[:, 1:]
    torch.manual_seed(seed)
    drawn = language.model.generate(
        ids, do_sample=True, top_k=0, num_return_sequences=count, **options
    )[:, 1:]
    return {
        "language_model_greedy": language.texts.decode(greedy) * count,
        "language_model_sampled": language.texts.decode(drawn),
    }


def _difference(
    first: np.ndarray, second: np.ndarray, groups: np.ndarray, *, seed: int
) -> Sequence[float]:
    found = paired_means(
        first.astype(np.float64), second.astype(np.float64), images=groups, unit="points", seed=seed
    )
    return [round(100 * value, 2) for value in (found.value, found.low, found.high)]


def _numbers(score: Score) -> list[float]:
    return [round(value, 4) for value in (score.value, score.low, score.high)]


def _embedder() -> StreamingEmbedder:
    return StreamingEmbedder(decoder=StreamingDecoder(batch_size=64, workers=1))


def open_sets(data: Path) -> dict[str, Path]:
    """The emoji's evaluation folders with captions of unseen pictures."""
    return {name: data / name for name in ("unseen_compositions", "unseen_emoji")}
