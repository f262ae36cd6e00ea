"""Models that read a clip as tokens, with fewer of them than they were trained with."""

from typing import TypeVar, cast

from eval.contract import Model, ReducibleModel
from eval.errors import EvaluationError
from eval.video.options import VideoOptions

AnyModel = TypeVar("AnyModel", bound=Model)


def as_reduced(model: AnyModel, options: VideoOptions) -> AnyModel:
    """The model with the reduction that was asked for; itself where none was.

    Raises:
        EvaluationError: its tokens cannot be reduced.
    """
    asked = options.reduction()
    if not asked:
        return model
    if not isinstance(model, ReducibleModel):
        names = ", ".join(f"video.{name}" for name in asked)
        raise EvaluationError(
            f"{model.name} does not read clips as tokens that could be fewer; leave out {names}, "
            "or take a model of the family storm"
        )
    reduced = model.reduced(
        sample_every=options.sample_every,
        temporal_pool=options.temporal_pool,
        spatial_pool=options.spatial_pool,
    )
    return cast(AnyModel, reduced)
