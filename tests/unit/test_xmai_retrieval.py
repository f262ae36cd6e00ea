"""Retrieval before and after insertions, against float64 loops, and files that do not fit."""

from pathlib import Path

import numpy as np
import pytest
import torch

from eval.data.folders import open_dataset
from eval.embedding.decode import StreamingDecoder
from eval.embedding.embedder import StreamingEmbedder
from eval.errors import EvaluationError
from eval.running.runner import run_benchmarks
from eval.running.selection import select
from eval.task_choices import TaskChoices
from eval.xmai.records import Insertion, PerturbedCaption, inserted, uids_of, write_perturbed
from eval.xmai.retrieval import AttributeInsertions, InsertionOptions
from tests.support.embedding_model import SmallClip
from tests.support.evaluation_data import captioned, noise_png, write_evaluation_folder
from vlsuite.batches.decode import decode_image

EMBEDDER = StreamingEmbedder(decoder=StreamingDecoder(batch_size=7, workers=2))
CAPTIONS = [[f"text {i}", f"word {i % 4}", f"text {i}"][: 1 + i % 3] for i in range(14)]
BROKEN = 5


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    samples = captioned(CAPTIONS)
    samples[BROKEN]["png"] = b"broken"
    return write_evaluation_folder(tmp_path_factory.mktemp("d") / "d", samples)


def _perturbed(uids: list[str], method: str = "xmai") -> list[PerturbedCaption]:
    rows = []
    for picture, (uid, own) in enumerate(zip(uids, CAPTIONS, strict=True)):
        for number, text in enumerate(own):
            word = ("red", "old", "big")[(picture + number) % 3]
            insertion = Insertion(
                offset=0, text=f"{word} ", word=word, noun=text.split()[0], noun_offset=0
            )
            insertions = (insertion,) if picture % 4 else ()
            rows.append(
                PerturbedCaption(
                    uid=uid, caption_number=number, original=text,
                    perturbed=inserted(text, insertions), method=method, insertions=insertions,
                )
            )  # fmt: skip
    return rows


def _file(folder: Path, path: Path, *, method: str = "xmai", scorer: str = "") -> str:
    uids = uids_of(open_dataset(str(folder), task="retrieval"))
    models = {"scorer": {"name": "s", "fingerprint": scorer}} if scorer else {}
    write_perturbed(path, {"method": method, "models": models}, _perturbed(uids, method))
    return str(path)


def _task(folder: Path, **options) -> AttributeInsertions:
    dataset = open_dataset(str(folder), task="retrieval")
    return AttributeInsertions.build(dataset, TaskChoices(options=(InsertionOptions(**options),)))


def test_figures_equal_the_definition(folder: Path, tmp_path: Path) -> None:
    model = SmallClip(seed=3)
    path = _file(folder, tmp_path / "p.jsonl", scorer=model.fingerprint)
    task = _task(folder, captions=(path,), ties="pessimistic", prefix="This is ", batch_size=6)
    result = task.run(model, EMBEDDER)

    seen, rows = set(), []
    for row in _perturbed([str(i) for i in range(len(CAPTIONS))]):
        key = (row.uid, row.original)
        if int(row.uid) != BROKEN and key not in seen:
            rows.append(row)
        seen.add(key)
    images = [i for i in range(len(CAPTIONS)) if i != BROKEN]
    pictures = {
        i: model.embed_images(model.image_transform(decode_image(noise_png(i)))[None])[0].double()
        for i in images
    }

    def reciprocal(query: torch.Tensor, own: list[torch.Tensor], others: list[torch.Tensor]):
        best = max(float(query @ o) for o in own)
        return 1 / (1 + sum(float(query @ o) >= best - 1e-7 for o in others))

    for side in ("before", "after"):
        texts = ["This is " + (row.original if side == "before" else row.perturbed) for row in rows]
        embeds = [model.embed_texts([text])[0].double() for text in texts]
        owners = [int(row.uid) for row in rows]
        to_image = [
            reciprocal(e, [pictures[o]], [pictures[i] for i in images if i != o])
            for e, o in zip(embeds, owners, strict=True)
        ]
        to_text = [
            reciprocal(
                pictures[i],
                [e for e, o in zip(embeds, owners, strict=True) if o == i],
                [e for e, o in zip(embeds, owners, strict=True) if o != i],
            )
            for i in images
        ]
        scores = result.scores
        assert scores[f"text_to_image_mrr_{side}"].value == pytest.approx(np.mean(to_image))
        assert scores[f"image_to_text_mrr_{side}"].value == pytest.approx(np.mean(to_text))
        hits = np.mean([r >= 1 / 5 - 1e-9 for r in to_image])
        assert scores[f"text_to_image_recall_at_5_{side}"].value == pytest.approx(hits)
        order = np.random.RandomState(0).permutation(len(rows))
        batched = []
        for start in range(0, len(rows) - 5, 6):
            pairs = order[start : start + 6].tolist()
            for j in pairs:
                others = [pictures[owners[k]] for k in pairs if owners[k] != owners[j]]
                batched.append(reciprocal(embeds[j], [pictures[owners[j]]], others))
        assert scores[f"batched_text_to_image_mrr_{side}"].value == pytest.approx(np.mean(batched))
    changed = [row.is_changed for row in rows]
    assert result.scores["changed_share"].value == pytest.approx(np.mean(changed))
    assert result.scores["text_to_image_mrr_drop_changed"].n == sum(changed)
    drop = result.scores["text_to_image_mrr_drop"]
    expected = result.scores["text_to_image_mrr_before"].value
    expected -= result.scores["text_to_image_mrr_after"].value
    assert drop.value == pytest.approx(expected)
    assert result.details["scorer_is_victim"] is True
    assert result.details["num_repeated_captions"] == 4
    assert result.details["batched_galleries"] == {"size": 6, "number": len(rows) // 6}


def test_several_files_are_several_results(folder: Path, tmp_path: Path) -> None:
    files = [_file(folder, tmp_path / f"{m}.jsonl", method=m) for m in ("xmai", "eda")]
    options = InsertionOptions(captions=tuple(files))
    request = TaskChoices(options=(options,))
    chosen = select([str(folder)], tasks=("attribute_insertions",), choices=request)
    finished = run_benchmarks(
        SmallClip(), chosen.benchmarks, embedder=EMBEDDER, out_dir=tmp_path / "results",
        required=("attribute_insertions",),
    )  # fmt: skip
    assert [f.result.benchmark for f in finished] == [
        "attribute_insertions:xmai", "attribute_insertions:eda",
    ]  # fmt: skip
    assert len({f.path for f in finished}) == 2
    assert finished[0].result.details["scorer_is_victim"] is None
    twice = TaskChoices(options=(InsertionOptions(captions=(files[0], files[0])),))
    with pytest.raises(EvaluationError, match="hold the method xmai"):
        select([str(folder)], tasks=("attribute_insertions",), choices=twice)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"uid": "elsewhere"}, "picture elsewhere is not in d"),
        ({"original": "another", "perturbed": "another", "insertions": ()}, "is 'another', but"),
        ({"caption_number": 7}, "no number 7"),
    ],
)
def test_other_data_is_refused(folder: Path, tmp_path: Path, change: dict, message: str) -> None:
    uids = uids_of(open_dataset(str(folder), task="retrieval"))
    first = _perturbed(uids)[0]
    fields = {name: getattr(first, name) for name in first.__dataclass_fields__}
    write_perturbed(tmp_path / "p.jsonl", {}, [PerturbedCaption(**fields | change)])
    with pytest.raises(EvaluationError, match=message):
        _task(folder, captions=(str(tmp_path / "p.jsonl"),))


def test_without_captions_nothing_is_measured(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match=r"attribute_insertions\.captions=FILE"):
        _task(folder)
    write_perturbed(tmp_path / "p.jsonl", {}, [])
    with pytest.raises(EvaluationError, match="has no captions"):
        _task(folder, captions=(str(tmp_path / "p.jsonl"),))
    path = _file(folder, tmp_path / "q.jsonl")
    with pytest.raises(EvaluationError, match="galleries of 100 pairs"):
        _task(folder, captions=(path,), batch_size=100).run(SmallClip(), EMBEDDER)
