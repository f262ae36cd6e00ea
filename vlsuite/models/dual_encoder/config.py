"""Every open_clip architecture by name, and small ones of our own, as a DualEncoder or a CoCa.

An architecture is one JSON file in open_clip's format; ours lie in ``configs/`` beside this
module and are added to open_clip's own list, so one path builds all of them.
"""

import dataclasses
import logging
import pickle
import warnings
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import open_clip
from open_clip import factory
from safetensors import SafetensorError

from data_pipelines.bounded_json import read_object
from data_pipelines.foreign_files import MOST_DESCRIPTION_BYTES, check_file_sizes, refused_as
from vlsuite.errors import ConfigError, ModelError, UnknownNameError
from vlsuite.models import registry
from vlsuite.models.coca.building import (
    DECODER,
    check_writes_forward,
    coca_encoder,
    decoder_override,
)
from vlsuite.models.coca.trainable import TrainableCoca
from vlsuite.models.dual_encoder.agreement import agree_with_open_clip
from vlsuite.models.dual_encoder.kept_preparation import recorded_preparation, values_of_run
from vlsuite.models.dual_encoder.published import (
    carried_by_weights,
    check_folder_preparation,
    model_folder_hint,
    refuse_unknown_weights,
)
from vlsuite.models.dual_encoder.token_selection_config import (
    SELECTION_WEIGHTS,
    TokenSelectionConfig,
    load_selection,
    read_selection,
)
from vlsuite.models.dual_encoder.towers import DualEncoder
from vlsuite.models.dual_encoder.trainable import TrainableDualEncoder
from vlsuite.models.family import ModelFamily
from vlsuite.models.sizes import bytes_of_weights, check_architecture, check_model_folder

_LOG = logging.getLogger(__name__)

_LOCAL = "local-dir:"

CONFIG_FOLDER = Path(__file__).parent / "configs"


@registry.register("open_clip")
@dataclass(frozen=True, kw_only=True, slots=True)
class OpenClipConfig(ModelFamily):
    """Which architecture, from which weights, and what of it is trained.

    Attributes:
        name: an open_clip architecture ("ViT-B-32"), one of ours ("vlsuite-tiny-32"),
            "local-dir:FOLDER" or "hf-hub:ORG/REPO".
        pretrained: open_clip tag, or a weights file; None starts from random weights, and
            pictures are prepared by open_clip's defaults whatever the architecture (mean and std
            of OpenAI's CLIP, bicubic, shortest side), as open_clip itself does.
        pretrained_like: for a weights file: the published tag whose preparation of pictures and
            QuickGELU it shares, or a JSON file with mean, std, interpolation, resize_mode and,
            where wanted, quick_gelu; None takes what all tags of the architecture agree on.
        image_size: input side in pixels; None keeps the architecture's own.
        image_width: width where pictures are not square; image_size is then the height, and
            pictures are resized to both without a crop (persons: 384 x 128).
        context_length: maximum text tokens; None keeps the architecture's own.
        tokenizer: folder of a tokenizer made by ``vlsuite data tokenizer``; its vocabulary
            size replaces the architecture's.
        patch_dropout: share of image patches dropped in training, [0, 1).
        grad_checkpointing: recompute block activations in backward.
        lock_image: freeze the image tower except its last ``unlocked_image_groups`` groups.
        lock_text: freeze the text tower except its last ``unlocked_text_layers`` layers.
        token_selection: RDE's second embedding, from selected tokens.
        keep_logit_scale: take over the multiplier and bias stored with the weights; else the
            objective starts from its own.
    """

    name: str = "ViT-B-32"
    pretrained: str | None = None
    pretrained_like: str | None = None
    image_size: int | None = None
    image_width: int | None = None
    context_length: int | None = None
    tokenizer: str | None = None
    patch_dropout: float | None = None
    grad_checkpointing: bool = False
    lock_image: bool = False
    unlocked_image_groups: int = 0
    lock_text: bool = False
    unlocked_text_layers: int = 0
    token_selection: TokenSelectionConfig = field(default_factory=TokenSelectionConfig)
    keep_logit_scale: bool = True

    def __post_init__(self) -> None:
        if self.image_width is not None and self.image_size is None:
            raise ConfigError("model.image_width needs model.image_size, the height")
        if self.pretrained_like is not None and self.pretrained is None:
            raise ConfigError("model.pretrained_like needs model.pretrained, a weights file")

    def build(self) -> TrainableDualEncoder:
        """Build the towers on the CPU in fp32, weights loaded where asked for.

        Raises:
            UnknownNameError: no such architecture.
            ModelError: the weights or the tokenizer cannot be loaded.
        """
        model_cfg = architecture(self.name)
        vision_cfg, text_cfg = model_cfg["vision_cfg"], model_cfg["text_cfg"]
        if self.tokenizer is not None:
            text_cfg |= replaced_vocabulary(Path(self.tokenizer), text_cfg)
        if self.context_length is not None:
            text_cfg["context_length"] = self.context_length
        model_cfg |= decoder_override(model_cfg, context_length=self.context_length)
        self._check_decoder(model_cfg)
        if self.pretrained is not None:
            refuse_unknown_weights(self.name, self.pretrained)
        carried = self._carried(model_cfg)
        self._check_sizes(model_cfg)
        model = _create(self, model_cfg)
        if self.image_size is not None:
            vision_cfg["image_size"] = self._size()
        loaded = self.pretrained is not None or ":" in self.name
        preprocess = _preprocess(
            model.visual.preprocess_cfg | carried, squash=self.image_width is not None
        )
        kind, encoder = TrainableDualEncoder, DualEncoder(model.visual, model.text)
        if DECODER in model_cfg:
            kind = TrainableCoca
            encoder = coca_encoder(self.name, model, size=preprocess["size"], loaded=loaded)
        self._apply_training_options(model)
        selection, weights = self._selection()
        parts = selection.put_on(encoder, embed_dim=model_cfg["embed_dim"])
        if weights is not None:
            load_selection(encoder, weights)
        built = kind(
            name=self.name,
            encoder=encoder,
            model_cfg=model_cfg,
            preprocess=preprocess,
            logit_scale=float(model.logit_scale.detach().exp()) if loaded else None,
            logit_bias=_stored_bias(model) if loaded else None,
            tokenizer_folder=self.tokenizer or _local_tokenizer(self.name, text_cfg),
            embed_parts=parts,
            token_selection=selection,
            keep_logit_scale=self.keep_logit_scale,
            weights_file=self._looked_up(),
        )
        agree_with_open_clip(built, model)
        return built

    def check(self) -> None:
        """See ``ModelFamily``: an architecture must exist, and a decoder must be of use."""
        self._check_decoder(architecture(self.name))

    def rebuild(self, export: Path) -> TrainableDualEncoder:
        """See ``ModelFamily``: random weights, and the preprocessing of the pretrained ones."""
        config = self._with_own_tokenizer(export)
        if self.pretrained is None:
            return config.build()
        built = dataclasses.replace(config, pretrained=None, pretrained_like=None).build()
        stored = self._preparation_of_run(export, built.model_cfg)
        return dataclasses.replace(
            built,
            preprocess=_preprocess(built.preprocess | stored, squash=self.image_width is not None),
        )

    @classmethod
    def open_folder(cls, folder: Path) -> TrainableDualEncoder:
        """See ``ModelFamily``; open_clip reads the folder too."""
        return cls(name=f"local-dir:{folder}").build()

    def _check_sizes(self, model_cfg: dict[str, Any]) -> None:
        """Before anything is built: of the description, with what the settings change of it."""
        vision_cfg = dict(model_cfg["vision_cfg"])
        if self.image_size is not None:
            vision_cfg["image_size"] = self._size()
        folder = local_folder(self.name)
        weights = bytes_of_weights(folder) if folder else 0
        check_architecture(
            {**model_cfg, "vision_cfg": vision_cfg}, where=self.name, weights=weights
        )
        for key in ("hf_model_name", "hf_tokenizer_name"):
            if isinstance(named := model_cfg["text_cfg"].get(key), str):
                check_model_folder(named)

    def _check_decoder(self, model_cfg: dict[str, Any]) -> None:
        if DECODER not in model_cfg:
            return
        check_writes_forward(self.name, model_cfg)
        if self.token_selection.width:
            raise ConfigError(
                f"model.token_selection is for models without a decoder; '{self.name}' has one"
            )

    def _carried(self, model_cfg: dict[str, Any]) -> dict[str, Any]:
        """What the weights want pictures to be prepared like."""
        if ":" in self.name:
            check_folder_preparation(self.name)
        if self.pretrained is None:
            return {}
        return carried_by_weights(
            self.name,
            self.pretrained,
            like=self.pretrained_like,
            quick_gelu=bool(model_cfg.get("quick_gelu", False)),
            ours=(CONFIG_FOLDER / f"{self.name}.json").is_file(),
        )

    def _preparation_of_run(self, export: Path, model_cfg: dict[str, Any]) -> dict[str, Any]:
        """As the run recorded it, else as its export has it, else as it was before records."""
        stored = recorded_preparation(export)
        if stored is not None:
            return stored
        if self._looked_up() is None:
            return self._carried(model_cfg)
        values, remark = values_of_run(None, weights_file=self.pretrained)
        _LOG.warning("%s", remark)
        return values

    def _looked_up(self) -> str | None:
        """The weights file whose values nobody named."""
        if self.pretrained is None or self.pretrained_like is not None:
            return None
        published = open_clip.get_pretrained_cfg(self.name, self.pretrained)
        return None if published else self.pretrained

    def _with_own_tokenizer(self, export: Path) -> "OpenClipConfig":
        """The config, its tokenizer taken from the run's export where the original is gone."""
        name = "tokenizer.json"
        if self.tokenizer is None or (Path(self.tokenizer) / name).is_file():
            return self
        if not (export / name).is_file():
            return self
        return dataclasses.replace(self, tokenizer=str(export))

    def _size(self) -> int | tuple[int, int] | None:
        if self.image_size is None or self.image_width is None:
            return self.image_size
        return self.image_size, self.image_width

    def _selection(self) -> tuple[TokenSelectionConfig, Path | None]:
        """The second embedding asked for, or that of a local folder, with its weights."""
        folder = Path(self.name.removeprefix("local-dir:"))
        stored = read_selection(folder) if self.name.startswith("local-dir:") else None
        if stored is None:
            return self.token_selection, None
        return stored, folder / SELECTION_WEIGHTS

    def _apply_training_options(self, model: Any) -> None:
        if self.lock_image:
            model.visual.lock(unlocked_groups=self.unlocked_image_groups)
        if self.lock_text:
            model.text.lock(self.unlocked_text_layers)
        if self.grad_checkpointing:
            model.set_grad_checkpointing(True)


def architecture(name: str) -> dict[str, Any]:
    """open_clip's description of an architecture: embed_dim, vision_cfg, text_cfg and options.

    Raises:
        UnknownNameError: no such architecture; the message lists the closest names.
        ModelError: a local or hub folder without a readable description.
    """
    _add_own_architectures()
    try:
        model_cfg = _described(name)
    except (OSError, ValueError, RecursionError, AttributeError) as error:
        raise ModelError(
            f"cannot read the architecture of '{name}': {error}. A model folder needs "
            f"open_clip_config.json; 'vlsuite export RUN' writes one"
        ) from error
    if model_cfg is None:
        import difflib

        if hint := model_folder_hint(name):
            raise UnknownNameError(f"'{name}' is a model folder; write {hint}")
        known = open_clip.list_models()
        close = difflib.get_close_matches(name, known, n=3, cutoff=0.4) or known[:5]
        raise UnknownNameError(f"unknown architecture '{name}'; closest: {', '.join(close)}")
    folder = local_folder(name)
    check_architecture(
        model_cfg, where=name, weights=bytes_of_weights(folder) if folder else 0, is_built=False
    )
    return deepcopy(model_cfg)


def _described(name: str) -> Any:
    """What open_clip reads; a folder's is read here first, within bounds."""
    folder = local_folder(name)
    if folder is not None:
        check_file_sizes(folder)
        read_object(folder / "open_clip_config.json", most_bytes=MOST_DESCRIPTION_BYTES)
    return factory.get_model_config(name)


def _add_own_architectures() -> None:
    if not any(path == CONFIG_FOLDER for path in factory._MODEL_CONFIG_PATHS):
        open_clip.add_model_config(CONFIG_FOLDER)


def _create(config: OpenClipConfig, model_cfg: dict[str, Any]) -> Any:
    """open_clip's factory, always with the text tower as a module of its own (custom text).

    Args:
        model_cfg: the architecture with what the config changes of its text tower and decoder.
    """
    override: dict[str, Any] = {}
    if config.tokenizer is not None:
        override["text_cfg"] = dict(model_cfg["text_cfg"])
    if config.context_length is not None and DECODER in model_cfg:
        override[DECODER] = dict(model_cfg[DECODER])
    loads = config.pretrained is not None or ":" in config.name
    previous = logging.root.manager.disable
    # the factory narrates every step on the root logger, and raises what it logs as an error
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            # weights trained with QuickGELU give wrong embeddings in a GELU model and vice versa
            warnings.filterwarnings("error", message="QuickGELU mismatch")
            model = open_clip.create_model(
                config.name,
                pretrained=config.pretrained,
                precision="fp32",
                force_custom_text=True,
                force_image_size=config._size(),
                force_context_length=config.context_length,
                force_patch_dropout=config.patch_dropout,
                load_weights=loads,
                require_pretrained=loads,
                **override,
            )
    except UserWarning as warning:
        raise ModelError(
            f"{warning} Use the architecture named '{config.name}-quickgelu'"
        ) from None
    except (
        RuntimeError,
        OSError,
        EOFError,
        ValueError,
        LookupError,
        ArithmeticError,
        MemoryError,
        # settings that this version of open_clip does not know, or not together
        TypeError,
        AssertionError,
        AttributeError,
        ImportError,
        SafetensorError,
        pickle.UnpicklingError,
    ) as error:
        reason = " ".join(str(error).split())[:300]
        weights = config.pretrained or ("its own" if ":" in config.name else "none")
        raise ModelError(
            f"cannot build '{config.name}' with weights '{weights}': {reason}; "
            "check the name, or fetch the weights again"
        ) from error
    finally:
        logging.disable(previous)
    return model


def _preprocess(preprocess_cfg: dict[str, Any], *, squash: bool) -> dict[str, Any]:
    size = preprocess_cfg["size"]
    height, width = (size, size) if isinstance(size, int) else tuple(size)
    changed = {"resize_mode": "squash"} if squash else {}
    return {**preprocess_cfg, "size": (height, width), **changed}


def _stored_bias(model: Any) -> float | None:
    bias = getattr(model, "logit_bias", None)
    return None if bias is None else float(bias.detach())


def _local_tokenizer(name: str, text_cfg: dict[str, Any]) -> str | None:
    folder = local_folder(name) if "hf_tokenizer_name" in text_cfg else None
    return None if folder is None else name.removeprefix(_LOCAL)


def local_folder(name: str) -> Path | None:
    """The folder that a name of open_clip's stands for; None for other names."""
    return Path(name.removeprefix(_LOCAL)) if name.startswith(_LOCAL) else None


def replaced_vocabulary(folder: Path, text_cfg: dict[str, Any]) -> dict[str, Any]:
    """What of a text tower's description changes with its tokenizer.

    The ids of the end-of-text and padding tokens change only where the architecture names them.

    Raises:
        ModelError: no tokenizer there.
    """
    from tokenizers import Tokenizer

    path = folder / "tokenizer.json"
    if not path.is_file():
        raise ModelError(
            f"no tokenizer.json in {folder}; make one with "
            f"'vlsuite data tokenizer SHARDS --out {folder}'"
        )
    advice = "make one with 'vlsuite data tokenizer'"
    with refused_as(ModelError, f"cannot read the tokenizer in {folder}", advice=advice):
        check_file_sizes(folder)
        tokenizer = Tokenizer.from_file(str(path))
        settings = folder / "tokenizer_config.json"
        special = read_object(settings) if settings.is_file() else {}
    changed = {"vocab_size": tokenizer.get_vocab_size(), "hf_tokenizer_name": str(folder)}
    for role in ("eos", "pad"):
        token = special.get(f"{role}_token")
        told = token.get("content") if isinstance(token, dict) else token
        number = tokenizer.token_to_id(told) if isinstance(told, str) else None
        is_named = f"{role}_id" in text_cfg or (role == "eos" and text_cfg.get("pool_type") == role)
        if is_named and number is not None:
            changed[f"{role}_id"] = number
    return changed
