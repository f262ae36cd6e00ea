"""What is no text, path or picture is refused by the public functions in one line.

In a process of its own: here, annotations are checked before a function is entered.
"""

import json
from pathlib import Path

import vlsuite
from tests.support.warm_processes import exit_codes, start
from vlsuite.errors import UserError

_WRONG = [None, 3, [1, 2], ["a", None], b"abc", [b"x"], 2.5]


class Model:
    """As far as it goes before anything is computed."""

    device, embed_dim = "cpu", 3

    def embed_texts(self, texts):
        return texts

    def embed_images(self, images):
        return images

    def image_transform(self, image):
        return image


def call_all(told: Path) -> None:
    """What comes of each call, by name."""
    model = Model()
    calls = {f"texts {t}": lambda t=t: vlsuite.embed_texts(model, t) for t in _WRONG}
    calls |= {
        "pictures none": lambda: vlsuite.embed_images(model, None),
        "pictures 3": lambda: vlsuite.embed_images(model, 3),
        "batch": lambda: vlsuite.embed_images(model, ["x"], batch_size=None),
        "name": lambda: vlsuite.load_model(None),
        "weights": lambda: vlsuite.load_model("RN50:wrong"),
        "weights like": lambda: vlsuite.load_model("RN50:wrong@openai"),
        "shards": lambda: vlsuite.open_shards([1]),
        "data": lambda: vlsuite.evaluate(model, None),
        "tasks": lambda: vlsuite.evaluate(model, "here", tasks=3),
        "models": lambda: vlsuite.compare(None, "here"),
        "second model": lambda: vlsuite.compare(["a", 3], "here"),
        "training data": lambda: vlsuite.train("emoji", data=3, out="here"),
        "run": lambda: vlsuite.train("emoji", data="here", out=3),
        "set": lambda: vlsuite.build_shards("emoji", out=None),
        "recipe": lambda: vlsuite.recipe(None),
        "source": lambda: vlsuite.build_shards(3, out="here"),
    }
    found = {}
    for name, call in calls.items():
        try:
            found[name] = f"returned {call()}"
        except UserError as error:
            found[name] = f"one line: {error}"
        except Exception as error:
            found[name] = f"{type(error).__name__}: {error}"
    told.write_text(json.dumps(found))


def test_every_wrong_argument_is_one_line(tmp_path):
    place, told, log = tmp_path / "place", tmp_path / "told", tmp_path / "log"
    place.mkdir()
    ended = exit_codes([start(call_all, told, log=log, place=place)])
    assert ended == [0], log.read_text()[-2000:]
    found = json.loads(told.read_text())
    assert {name: line for name, line in found.items() if not line.startswith("one line: ")} == {}
    assert not any("\n" in line for line in found.values())
    assert "neither a tag of RN50" in found["weights"]
    assert "openai, yfcc15m" in found["weights"]
    assert "openai, yfcc15m" in found["weights like"]
    assert list(place.iterdir()) == []
