"""TensorBoard: scalars, the intervals of scores as bands, pictures of examples.

Scores stand among the scalars. "Custom scalars" has a chart for each of them with its 95% interval
as a band, by data set (margin charts; tensorboard/plugins/custom_scalar).
"""

import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from vlsuite.engine.event_file import EventFile
from vlsuite.engine.example_pictures import draw_example
from vlsuite.engine.validation_scores import (
    LOWER,
    SCORES,
    UPPER,
    ValidationExample,
    ValidationScore,
)

_LAYOUT_TAG, _LAYOUT_PLUGIN = "custom_scalars__config__", "custom_scalars"
_RGB = 3  # of Summary.Image.colorspace


class TensorBoard:
    """A ``Dashboard`` of event files.

    Args:
        folder, purge_step: see ``EventFile``.
    Raises:
        RunFolderError: the file cannot be written.
    """

    def __init__(self, folder: Path, *, purge_step: int) -> None:
        self._file = EventFile(folder, purge_step=purge_step)
        self._charted: frozenset[str] = frozenset()

    def numbers(self, values: Mapping[str, float], *, step: int) -> None:
        """See ``Dashboard``."""
        self._file.add(values, step=step)

    def evaluation(
        self,
        scores: Sequence[ValidationScore],
        examples: Sequence[ValidationExample],
        *,
        step: int,
    ) -> None:
        """See ``Dashboard``."""
        for score in scores:
            self._file.add(score.numbers, step=step)
        charted = frozenset(score.tag for score in scores if score.low is not None)
        if not charted <= self._charted:
            self._charted |= charted
            self._file.add_values([_layout(scores)], step=step)
        for example in examples:
            self._file.add_values([_picture(example)], step=step)

    def close(self) -> None:
        """See ``Dashboard``."""
        self._file.close()


def _layout(scores: Sequence[ValidationScore]) -> Any:
    """Which charts "Custom scalars" shows."""
    from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata  # type: ignore[attr-defined]
    from tensorboard.compat.proto.tensor_pb2 import TensorProto  # type: ignore[attr-defined]
    from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto  # type: ignore[attr-defined]
    from tensorboard.compat.proto.types_pb2 import DT_STRING  # type: ignore[attr-defined]
    from tensorboard.plugins.custom_scalar.layout_pb2 import Category, Layout  # type: ignore[attr-defined]

    by_dataset: dict[str, list[ValidationScore]] = {}
    for score in scores:
        if score.low is not None:
            by_dataset.setdefault(score.dataset, []).append(score)
    categories = [
        Category(title=name, chart=list(_charts(own))) for name, own in by_dataset.items()
    ]
    content = Layout(category=categories).SerializeToString()
    tensor = TensorProto(dtype=DT_STRING, string_val=[content], tensor_shape=TensorShapeProto())
    plugin = SummaryMetadata.PluginData(plugin_name=_LAYOUT_PLUGIN)
    about = SummaryMetadata(plugin_data=plugin)
    return Summary.Value(tag=_LAYOUT_TAG, tensor=tensor, metadata=about)


def _charts(scores: Sequence[ValidationScore]) -> Iterator[Any]:
    from tensorboard.plugins.custom_scalar import layout_pb2

    messages: Any = layout_pb2
    for score in scores:
        value, lower, upper = (f"{group}/{score.tag}" for group in (SCORES, LOWER, UPPER))
        series = messages.MarginChartContent.Series(value=value, lower=lower, upper=upper)
        yield messages.Chart(title=score.name, margin=messages.MarginChartContent(series=[series]))


def _picture(example: ValidationExample) -> Any:
    from tensorboard.compat.proto.summary_pb2 import Summary  # type: ignore[attr-defined]

    picture = draw_example(example.example)
    stream = io.BytesIO()
    picture.save(stream, format="PNG")
    image = Summary.Image(
        height=picture.height,
        width=picture.width,
        colorspace=_RGB,
        encoded_image_string=stream.getvalue(),
    )
    return Summary.Value(tag=f"{example.tag}/{example.number}", image=image)
