"""Do boxes, masks and cached regions land where the picture's content lands, and come back?

Random pictures with drawn rectangles go through random large-scale jitter (0.1 to 2.0, flips,
crops, pads). Boxes go there and back; the drawn edges are found in the pixels of the result and
held against box, cached region and masks. A second pass uses a transform that mirrors regions and
masks once more, as the released ViLD did: its error shows that the check would notice.
"""

import argparse
from dataclasses import asdict, dataclass

import numpy as np

from benchmarks.support.drawn_boxes import Apply, Errors, drawn_picture, errors_of
from benchmarks.support.environment import describe
from benchmarks.support.program import run_as_program
from benchmarks.support.report import finish
from data_pipelines.detection.geometry import Marked, Transform, flipped, marked, transformed
from data_pipelines.detection.jitter import LargeScaleJitter


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """``side`` of the canvas in pixels."""

    transforms: int
    side: int
    seed: int


def main() -> int:
    """Measure and report; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--transforms", type=int, default=1000)
    parser.add_argument("--side", type=int, default=256, help="of the canvas in pixels")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="100 transforms")
    parser.add_argument("--save", action="store_true", help="append the record to results/")
    args = parser.parse_args()
    settings = Settings(
        transforms=100 if args.quick else args.transforms, side=args.side, seed=args.seed
    )
    environment = describe()
    found = measured(settings, transformed)
    broken = measured(settings, mirrored_again)
    figures = {
        "largest_pixels": round(found.largest, 6),
        **{f"largest_{name}": round(value, 6) for name, value in found._asdict().items()},
        "control_mirrored_again": round(broken.largest, 1),
    }
    figures["rectangles_seen"] = figures.pop("largest_num_seen")
    for name, value in figures.items():
        print(f"  {name:28} {value}")
    finish("roi_transforms", figures, environment, config=asdict(settings), save=args.save)
    return 0


def measured(settings: Settings, apply: Apply) -> Errors:
    """Largest errors over random pictures and transforms."""
    rng = np.random.default_rng(settings.seed)
    jitter = LargeScaleJitter(side=settings.side)
    errors = Errors()
    for _ in range(settings.transforms):
        height, width = (int(side) for side in rng.integers(settings.side // 4, settings.side, 2))
        picture = drawn_picture(rng, (height, width))
        errors = errors.joined(errors_of(picture, jitter.draw((height, width), rng), apply))
    return errors


def mirrored_again(picture: Marked, transform: Transform) -> Marked:
    """The fault of the released ViLD: pixels mirrored once, regions and masks once more."""
    found = transformed(picture, transform, min_object_share=-1.0)  # keeps all rows
    if transform.x.scale > 0:
        return found
    again = flipped(picture.annotations.size)
    unseen = marked(None, picture.annotations, picture.regions)
    other = transformed(unseen, again.then(transform), min_object_share=-1.0)
    return found._replace(
        regions=other.regions, annotations=found.annotations._replace(masks=other.annotations.masks)
    )


if __name__ == "__main__":
    run_as_program(main)
