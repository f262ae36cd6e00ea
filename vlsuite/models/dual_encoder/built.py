"""A dual encoder as it was built: what reading, evaluation and export look at."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from vlsuite.batches.tokenizer import CachedTokenizer, load_tokenizer
from vlsuite.models.dual_encoder.token_selection_config import TokenSelectionConfig
from vlsuite.models.dual_encoder.towers import DualEncoder


@dataclass(frozen=True, kw_only=True)
class BuiltModel:
    """A model, and all that is needed to rebuild, feed and export it.

    Attributes:
        name: of the architecture, or of the folder or repository it was opened from.
        encoder: the two towers.
        model_cfg: open_clip's architecture description, overrides applied.
        preprocess: image size (height, width), mean, std, interpolation, resize_mode, fill_color.
        logit_scale: multiplier stored with loaded weights; None for a random initialisation.
        logit_bias: offset stored with loaded weights; None where there is none.
        tokenizer_folder: local folder with the tokenizer, None for the architecture's own.
        embed_parts: widths of the embeddings that the model concatenates; empty for one.
        token_selection: how the second of them is made; its width is 0 where there is none.
        keep_logit_scale: whether training starts from the stored scale and bias.
        weights_file: that its pictures' preparation was looked up for; None for none.
    """

    name: str
    encoder: DualEncoder
    model_cfg: dict[str, Any]
    preprocess: dict[str, Any]
    logit_scale: float | None
    logit_bias: float | None
    tokenizer_folder: str | None
    embed_parts: tuple[int, ...] = ()
    token_selection: TokenSelectionConfig = field(default_factory=TokenSelectionConfig)
    keep_logit_scale: bool = True
    weights_file: str | None = None

    @cached_property
    def tokenizer(self) -> CachedTokenizer:
        """The tokenizer that belongs to the model, loaded when it is first needed.

        Raises:
            ModelError: it cannot be loaded.
        """
        length = self.model_cfg["text_cfg"].get("context_length", 77)
        return load_tokenizer(self.name, context_length=length, folder=self.tokenizer_folder)
