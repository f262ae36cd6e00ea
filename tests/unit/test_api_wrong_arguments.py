"""What is no text, path or picture is refused by the public functions in one line.

In a process of its own: here, annotations are checked before a function is entered.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_PROGRAM = """
import json, vlsuite
from vlsuite.errors import UserError

class Model:
    device, embed_dim = "cpu", 3
    def embed_texts(self, texts): return texts
    def embed_images(self, images): return images
    def image_transform(self, image): return image

model = Model()
wrong = [None, 3, [1, 2], ["a", None], b"abc", [b"x"], 2.5]
calls = {f"texts {text}": lambda text=text: vlsuite.embed_texts(model, text) for text in wrong}
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
print(json.dumps(found))
"""


def test_every_wrong_argument_is_one_line(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(_ROOT), "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-P", "-W", "ignore", "-c", _PROGRAM]
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True)
    found = json.loads(done.stdout.splitlines()[-1])
    assert {name: told for name, told in found.items() if not told.startswith("one line: ")} == {}
    assert not any("\n" in told for told in found.values())
    assert "neither a tag of RN50" in found["weights"]
    assert "openai, yfcc15m" in found["weights"]
    assert "openai, yfcc15m" in found["weights like"]
    assert list(tmp_path.iterdir()) == []
