"""CoCa at a size for emoji and small sets of pairs: it embeds, and it writes captions."""

from dataclasses import replace

from vlsuite.engine.config import TrainConfig
from vlsuite.models.dual_encoder.config import OpenClipConfig
from vlsuite.objectives.coca import CocaObjectiveConfig
from vlsuite.recipes import registry
from vlsuite.recipes.emoji import emoji


@registry.register("coca")
def coca() -> TrainConfig:
    """A small CoCa on emoji and their names; any other by --set model.name=coca_ViT-B-32.

    The settings of the recipe "emoji" but for what a decoder needs: pictures are not mirrored,
    since names say left and right. The objective's weights are those of open_clip's training.
    """
    base = emoji()
    return replace(
        base,
        model=OpenClipConfig(name="vlsuite-coca-mini-48"),
        data=replace(base.data, augment=replace(base.data.augment, flip_probability=0.0)),
        objective=CocaObjectiveConfig(),
    )
