"""Processor time of imagecorruptions in each cell of corruption and severity.

Runs inside the peer's environment (see peers/imagecorruptions.py), so it imports nothing of ours.
Takes a file of pictures and JSON options; the last line printed is one JSON object.
"""

import json
import sys
import time
from typing import Any

import cv2  # pyright: ignore[reportMissingImports]
import numpy as np


def main() -> None:
    """Time every cell, one thread; a first call of each corruption does not count."""
    pictures = np.load(sys.argv[1], allow_pickle=False)
    options = json.loads(sys.argv[2])
    if "source" in options:
        sys.path.insert(0, options["source"])
    cv2.setNumThreads(1)
    np.random.seed(options["seed"])
    package = load_package()
    names = dict.fromkeys(name for name, _ in options["cells"])
    stopped = {} if "source" in options else what_stops(package, names, pictures[0])
    mend(package, options["glass"], is_release="source" not in options)
    for name in names:
        package.corrupt(pictures[0], corruption_name=name, severity=1)
    seconds = []
    for name, severity in options["cells"]:
        started = time.process_time()
        for picture in pictures:
            package.corrupt(picture, corruption_name=name, severity=severity)
        seconds.append((name, severity, time.process_time() - started))
    print(json.dumps({"seconds": seconds, "stopped": stopped}))


def load_package() -> Any:
    """The package; imported late, so that a folder given by the user comes first."""
    import imagecorruptions  # pyright: ignore[reportMissingImports]

    return imagecorruptions


def what_stops(package: Any, names: dict[str, None], picture: np.ndarray) -> dict[str, str]:
    """Corruptions that the installed release cannot run as it is."""
    stopped = {}
    for name in names:
        try:
            package.corrupt(picture, corruption_name=name, severity=1)
        except (TypeError, AttributeError) as error:
            stopped[name] = str(error).splitlines()[0][:120]
    return stopped


def mend(package: Any, glass: list[list[float]], *, is_release: bool) -> None:
    """Put back what NumPy 2 and scikit-image 0.26 have taken away; arithmetic stays the same."""
    corruptions: Any = sys.modules[f"{package.__name__}.corruptions"]
    if not hasattr(np, "float_"):
        setattr(np, "float_", np.float64)  # noqa: B010
    if is_release:
        smooth = corruptions.gaussian

        def gaussian(image: np.ndarray, *numbers: float, **options: Any) -> np.ndarray:
            axis = -1 if options.pop("multichannel", False) else None
            return smooth(image, *numbers, channel_axis=axis, **options)

        corruptions.gaussian = gaussian
        package.corruption_dict["glass_blur"] = compiled_glass_blur(smooth, glass)


def compiled_glass_blur(smooth: Any, glass: list[list[float]]) -> Any:
    """Glass blur as the release defines it, its loop over pixels compiled."""
    from numba import njit  # pyright: ignore[reportMissingImports]

    @njit
    def shuffle(x: Any, max_shift: int, sweeps: int) -> None:
        for _ in range(sweeps):
            for h in range(x.shape[0] - max_shift, max_shift, -1):
                for w in range(x.shape[1] - max_shift, max_shift, -1):
                    right = np.random.randint(-max_shift, max_shift)
                    down = np.random.randint(-max_shift, max_shift)
                    x[h, w] = x[h + down, w + right]

    def glass_blur(image: Any, severity: int = 1) -> np.ndarray:
        sigma, max_shift, sweeps = glass[severity - 1]
        x = np.uint8(smooth(np.array(image) / 255.0, sigma=sigma, channel_axis=-1) * 255)
        shuffle(x, int(max_shift), int(sweeps))
        return np.clip(smooth(x / 255.0, sigma=sigma, channel_axis=-1), 0, 1) * 255

    return glass_blur


if __name__ == "__main__":
    main()
