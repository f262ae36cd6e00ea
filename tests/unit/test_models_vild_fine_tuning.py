"""A detector that goes on from another one, on pictures of several vocabularies."""

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from data_pipelines.detection.vocabulary import BASE, NOVEL, Category, Vocabulary
from data_pipelines.shards.stored_sample import StoredSample
from tests.support.detectors import (
    NAMES,
    VOCABULARY,
    square_batch,
    square_members,
    tiny_detector,
    tiny_network,
    vocabulary_folder,
)
from tests.support.exported_models import exported_model
from vlsuite.batches.data_config import DataConfig
from vlsuite.errors import ConfigError, ModelError
from vlsuite.models.dual_encoder.config import OpenClipConfig
from vlsuite.models.vild.federated import federated_logits
from vlsuite.models.vild.joined_vocabulary import Placed, joined_vocabulary
from vlsuite.models.vild.targets import targets_of
from vlsuite.models.vild.training_vocabulary import TrainingVocabulary
from vlsuite.objectives.vild import class_loss

CPU = torch.device("cpu")
OWN = ("zebra", "yellow")


def vocabulary(*names: str, **more: Category) -> Vocabulary:
    listed = [Category(name, number + 1) for number, name in enumerate(names)]
    return Vocabulary((*listed, *more.values()))


def placed(*vocabularies: Vocabulary) -> list[Placed]:
    return [Placed(f"source{n}", one) for n, one in enumerate(vocabularies)]


@pytest.fixture
def own_folder(tmp_path) -> Path:
    (tmp_path / "categories.json").write_bytes(vocabulary(*OWN).to_bytes())
    return tmp_path


@pytest.fixture
def both(own_folder) -> tuple[str, str]:
    """Own names, in which "yellow" has labels, and the squares', in which it has none."""
    return str(own_folder), str(vocabulary_folder())


def test_scores_are_those_of_the_formula():
    """Of a background region, the likelihood of background or any name nobody looked for."""
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(6, 5, generator=generator, dtype=torch.float64) * 3
    classes = torch.tensor([0, 0, 1, 3, 0, 2])
    foreign = torch.tensor([[0, 1, 0, 1]] * 4 + [[0, 0, 0, 0], [1, 0, 1, 1]]).bool()
    found = federated_logits(logits, classes, foreign)
    weights = torch.ones(6, dtype=torch.float64)
    total = 0.0
    for row in range(6):
        own = [0, *(1 + n for n in range(4) if not foreign[row, n])]
        other = [1 + n for n in range(4) if foreign[row, n]]
        wanted = [0, *other] if classes[row] == 0 else [int(classes[row])]
        among = [*own, *other] if classes[row] == 0 else own
        mass = [sum(math.exp(float(logits[row, n])) for n in part) for part in (wanted, among)]
        total -= math.log(mass[0] / mass[1])
    assert float(class_loss(found, classes, weights)) == pytest.approx(total, rel=1e-6)


def test_a_name_that_nobody_looked_for_gets_no_push_from_marked_regions():
    logits = torch.zeros(1, 4, requires_grad=True)
    found = federated_logits(logits, torch.tensor([1]), torch.tensor([[False, True, False]]))
    class_loss(found, torch.tensor([1]), torch.ones(1)).backward()
    assert logits.grad is not None
    assert logits.grad[0, 2] == 0
    assert (logits.grad[0, [0, 3]] > 0).all()


class TestJoining:
    def test_names_are_one_by_their_words(self):
        cup = Category("cup", 9, synonyms=("mug",), frequency="c")
        found = joined_vocabulary(
            placed(vocabulary("hot_dog", "cup"), vocabulary("hot dog", c=cup))
        )
        assert found.names == ("hot_dog", "cup")
        assert found.source_ids == (1, 2)
        assert found.categories[1].synonyms == ("mug",)
        assert found.categories[1].frequency == "c"

    def test_one_alone_stays_as_it_is(self):
        assert joined_vocabulary(placed(VOCABULARY)) is VOCABULARY

    def test_labels_in_one_source_are_labels(self, both):
        found = TrainingVocabulary.load(both)
        assert found.names == ("zebra", "yellow", "red", "green", "blue")
        assert [one.group for one in found.vocabulary.categories] == [BASE] * 5
        assert found.is_foreign is not None
        assert found.is_foreign.tolist() == [
            [False, False, True, True, True],
            [True, True, False, False, False],
        ]

    def test_novel_everywhere_stays_novel(self):
        novel = Category("yellow", 7, group=NOVEL)
        found = joined_vocabulary(placed(vocabulary("zebra", y=novel), VOCABULARY))
        assert [one.name for one in found.categories if one.group == NOVEL] == ["yellow"]

    def test_the_same_names_everywhere_are_foreign_nowhere(self):
        place = str(vocabulary_folder())
        assert TrainingVocabulary.load((place, place)).is_foreign is None

    @pytest.mark.parametrize(
        ("first", "second", "told"),
        [
            (vocabulary("Dog"), vocabulary("dog"), "differ in case alone"),
            (vocabulary("hot dog", "hot_dog"), vocabulary("cat"), "the same words"),
            (
                vocabulary("couch"),
                vocabulary(s=Category("sofa", 1, synonyms=("couch",))),
                "synonym of 'sofa' in source1",
            ),
        ],
    )
    def test_two_names_of_one_thing_are_refused(self, first, second, told):
        with pytest.raises(ConfigError, match=told):
            joined_vocabulary(placed(first, second))

    def test_synonyms_that_are_names_on_both_sides_are_left_alone(self):
        both_names = vocabulary("couch", s=Category("sofa", 2, synonyms=("couch",)))
        found = joined_vocabulary(placed(vocabulary("couch"), both_names))
        assert found.names == ("couch", "sofa")


class TestSources:
    def test_one_vocabulary_a_source(self, both):
        built = tiny_detector("text", vocabulary=(*both, both[1]))
        with pytest.raises(ConfigError, match="3 vocabularies for 2 sources"):
            built.reader(DataConfig(train=both))

    def test_other_names_beside_the_shards_need_a_vocabulary_each(self, both):
        built = tiny_detector("text")
        with pytest.raises(ConfigError, match="give one vocabulary a source"):
            built.reader(DataConfig(train=both))
        built.reader(DataConfig(train=(both[1], both[1])))

    def test_labels_become_rows_of_all_names(self, both):
        reader = tiny_detector("text", vocabulary=both).reader(DataConfig(train=both))
        fields, data = square_members(7)
        yellow = [box | {"label": "yellow"} for box in fields["boxes"]]
        own = {**fields, "boxes": [*yellow, {**yellow[0], "label": 0}]}
        base = {**fields, "boxes": [{**box, "label": "blue"} for box in yellow] + yellow}

        def labels(stored: dict, source: int) -> list[int]:
            members = {"png": data, "json": json.dumps(stored).encode()}
            rng = np.random.default_rng(0)
            read = reader.at(0).of_source(source).read(StoredSample("a", members), rng)
            return read.content.labels.tolist()

        assert set(labels(own, 0)) == {0, 1}  # zebra by its row in the own file, yellow
        assert set(labels(base, 1)) == {4}  # blue; yellow has no labels there


def test_replayed_pictures_say_nothing_about_own_names(both):
    """The gradient of a base picture's loss does not move a name it was not annotated with."""
    built = tiny_detector("supervised", vocabulary=both)
    foreign = built.vocabulary.is_foreign
    batch = square_batch(range(2))
    batch = dataclasses.replace(batch, sources=(1, 1), labels=batch.labels + 2)
    pixels = batch.pixels(built.preprocess, device=CPU, dtype=torch.float32)

    def found(marked_only: bool) -> torch.Tensor:
        built.network.zero_grad()
        term = built.network(pixels, targets_of(batch, CPU, is_foreign=foreign)).classes
        assert term is not None
        weights = term.weights * (term.wanted > 0) if marked_only else term.weights
        class_loss(term.found, term.wanted, weights).backward()
        classes = built.network.classes
        assert isinstance(classes, torch.nn.Linear)
        assert classes.bias.grad is not None
        return classes.bias.grad

    assert found(True)[[1, 2]].tolist() == [0, 0]
    # what is not marked may be one of them
    assert (found(False)[[1, 2]] < 0).all()


class TestStart:
    def written(self, folder: Path, mode: str = "vild", **changes) -> str:
        built = tiny_detector(mode, seed=1, **changes)
        built.write(folder, built.network.state_dict(), scalars={}, name="s", history=None)
        return str(folder)

    def test_text_goes_on_from_vild_with_its_teacher(self, tmp_path, both):
        start = self.written(tmp_path / "start")
        built = tiny_detector(
            "text", vocabulary=both, pretrained=start, teacher=OpenClipConfig(), seed=5
        )
        assert built.teacher is not None
        assert built.teacher.config.name == f"local-dir:{tmp_path / 'start' / 'teacher'}"
        wanted = tiny_detector("vild", seed=1).network.state_dict()
        for name, value in built.network.state_dict().items():
            assert torch.equal(value, wanted[name]), name

    def test_supervised_rows_go_by_name(self, tmp_path, both):
        start = self.written(tmp_path / "start", "supervised")
        built = tiny_detector("supervised", vocabulary=both, pretrained=start, seed=5)
        theirs = tiny_detector("supervised", seed=1).network.state_dict()["classes.weight"]
        new = tiny_detector("supervised", vocabulary=both, seed=5).network.state_dict()
        found = built.network.state_dict()["classes.weight"]
        for row, name in enumerate(built.vocabulary.names):
            known = name in NAMES
            wanted = theirs[1 + NAMES.index(name)] if known else new["classes.weight"][1 + row]
            assert torch.equal(found[1 + row], wanted), name
        assert torch.equal(found[0], theirs[0])

    def test_another_teacher_is_refused(self, tmp_path):
        start = self.written(tmp_path / "start")
        torch.manual_seed(77)
        other = exported_model(tmp_path / "other", seed=77)
        with pytest.raises(ModelError, match="taught by another teacher"):
            tiny_detector(
                "text", pretrained=start, teacher=OpenClipConfig(name=f"local-dir:{other}")
            )

    def test_another_network_or_mode_is_refused(self, tmp_path):
        start = self.written(tmp_path / "start", "ensemble")
        with pytest.raises(ModelError, match=r"image_head.*differs"):
            tiny_detector("text", pretrained=start)
        with pytest.raises(ModelError, match="another network"):
            tiny_detector("ensemble", pretrained=start, network=tiny_network(masks=True))

    def test_only_one_start(self):
        with pytest.raises(ConfigError, match="set one of them"):
            tiny_detector("text", pretrained="a", localizer="b")

    def test_the_boxes_can_be_frozen(self, tmp_path):
        heads = dataclasses.replace(tiny_network().heads, separate=True)
        network = dataclasses.replace(tiny_network(), heads=heads)
        start = self.written(tmp_path / "start", "text", network=network)
        built = tiny_detector("text", pretrained=start, frozen="localizer", network=network)
        trained = {n for n, p in built.network.named_parameters() if p.requires_grad}
        assert trained
        assert all(n.startswith(("name_head.", "projection.", "classes.")) for n in trained)
