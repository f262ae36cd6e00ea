"""Models that put sounds and texts into one space: CLIPs on spectrograms, and CLAP."""

import hashlib
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from data_pipelines.bounded_json import read_json, read_object
from data_pipelines.field_types import check_fields
from data_pipelines.sound import Sound, resampled, windowed
from data_pipelines.spectrogram import SPECTROGRAM_FILE, SpectrogramConfig, sound_picture
from data_pipelines.texts import listed
from eval.contract import EmbeddingModel
from eval.errors import EvaluationError
from eval.respondents.sound import decode
from vlsuite.models.opening import openers
from vlsuite.models.quiet_loading import quiet_loading
from vlsuite.models.sizes import check_model_folder

CLAP_PREFIX = "clap:"


@runtime_checkable
class SoundModel(Protocol):
    """A model with a shared embedding space for sounds and texts."""

    @property
    def name(self) -> str:
        """What results call it."""
        ...

    @property
    def fingerprint(self) -> str:
        """SHA-256 over all that its embeddings depend on."""
        ...

    def embed_sound(self, data: bytes, *, name: str) -> Float[Tensor, " embed_dim"]:
        """Unit-norm embedding of an encoded sound, on the CPU.

        Raises:
            DataError: it cannot be decoded.
        """
        ...

    def embed_texts(self, texts: list[str]) -> Float[Tensor, "texts embed_dim"]:
        """Unit-norm embeddings of texts."""
        ...


class SpectrogramClip:
    """A CLIP that was trained on pictures of sounds (``vlsuite data sounds``).

    Args:
        model: the CLIP.
        config: how the pictures are made; the same as in training.
    """

    def __init__(self, model: EmbeddingModel, config: SpectrogramConfig) -> None:
        self.model = model
        self.config = config

    @property
    def name(self) -> str:
        """Of the CLIP."""
        return self.model.name

    @property
    def fingerprint(self) -> str:
        """Over weights and window."""
        told = json.dumps(asdict(self.config), sort_keys=True)
        return hashlib.sha256(f"{self.model.fingerprint}{told}".encode()).hexdigest()

    def embed_sound(self, data: bytes, *, name: str) -> Float[Tensor, " embed_dim"]:
        """See ``SoundModel``."""
        picture = sound_picture(data, self.config, name=name).convert("RGB")
        return embedded_picture(self.model, picture)

    def embed_texts(self, texts: list[str]) -> Float[Tensor, "texts embed_dim"]:
        """See ``SoundModel``."""
        return self.model.embed_texts(listed(texts)).float()


class Clap:
    """CLAP of transformers (Wu et al. 2023, arXiv 2211.06687); trained on sounds, hardly on speech.

    The processor's own window: sounds longer than its ``max_length_s`` are cut to the middle here,
    because its random crop would give other embeddings each time; shorter ones are filled as the
    checkpoint says.

    Args:
        name: folder or name on the hub.
        model: ``ClapModel``.
        processor: its feature extractor.
        tokenizer: its tokenizer.
        device: where it computes.
    """

    def __init__(
        self, name: str, model: Any, processor: Any, tokenizer: Any, *, device: torch.device
    ) -> None:
        self.name = f"{CLAP_PREFIX}{name}"
        self._model = model.to(device).eval()
        self._processor = processor
        self._tokenizer = tokenizer
        self._device = device
        self._fingerprint = ""

    @property
    def fingerprint(self) -> str:
        """Over weights, tokenizer and feature extractor."""
        if not self._fingerprint:
            from eval.hub.loading import fingerprint_of

            told = json.dumps(self._processor.to_dict(), sort_keys=True, default=str)
            weights = fingerprint_of(self._model, self._tokenizer)
            self._fingerprint = hashlib.sha256(f"{weights}{told}".encode()).hexdigest()
        return self._fingerprint

    @torch.no_grad()
    def embed_sound(self, data: bytes, *, name: str) -> Float[Tensor, " embed_dim"]:
        """See ``SoundModel``."""
        sound = resampled(decode(data, name=name), self._processor.sampling_rate)
        longest = float(self._processor.max_length_s)
        if sound.seconds > longest:
            sound = windowed(sound, longest, window="middle")
        features = self._processor(
            self._filled(sound), sampling_rate=sound.rate, return_tensors="pt"
        )
        found = self._model.get_audio_features(
            input_features=features["input_features"].to(self._device),
            is_longer=torch.zeros(1, 1, dtype=torch.bool, device=self._device),
        )
        return F.normalize(_pooled(found).float(), dim=-1)[0].cpu()

    @torch.no_grad()
    def embed_texts(self, texts: list[str]) -> Float[Tensor, "texts embed_dim"]:
        """See ``SoundModel``."""
        given = self._tokenizer(listed(texts), padding=True, truncation=True, return_tensors="pt")
        found = self._model.get_text_features(**given.to(self._device))
        return F.normalize(_pooled(found).float(), dim=-1)

    def _filled(self, sound: Sound) -> np.ndarray:
        """At least one window of the transform, which cannot mirror less."""
        shortest = int(self._processor.fft_window_size)
        return np.pad(sound.samples, (0, max(0, shortest - len(sound.samples))))


def load_sound_model(
    spec: str, *, device: str | torch.device = "cpu", spectrogram: SpectrogramConfig | None = None
) -> SoundModel:
    """Load a sound model.

    Args:
        spec: as ``eval.opening.open_model`` takes it: "clap:FOLDER", "clap:HUB_NAME" or another
            model that hears, or a CLIP trained on shards of ``vlsuite data sounds``.
        spectrogram: how sounds are drawn; None takes what the run or its training shards say.
    Raises:
        EvaluationError: no such CLAP, or nothing says how sounds are drawn.
        ModelError: see ``eval.opening.open_model``.
    """
    from eval.opening import FOLDER, open_model, parsed

    config = spectrogram or spectrogram_of(Path(spec))
    if config is None and parsed(spec).kind == FOLDER:
        raise _not_drawn(spec)
    model = open_model(spec, device=device)
    if isinstance(model, SoundModel):
        return model
    if config is None or not isinstance(model, EmbeddingModel):
        raise _not_drawn(spec)
    return SpectrogramClip(model, config)


def _not_drawn(spec: str) -> EvaluationError:
    return EvaluationError(
        f"{spec} does not say how its sounds are drawn; copy {SPECTROGRAM_FILE} from the "
        "shards it was trained on ('vlsuite data sounds' writes it) into the run folder"
    )


@openers.register("clap")
def open_clap(rest: str, device: torch.device) -> Clap:
    """What stands behind "clap:"; see ``load_clap``."""
    return load_clap(rest, device=device)


def load_clap(name: str, *, device: torch.device) -> Clap:
    """CLAP from a folder or the hub; safetensors or plain tensors, nothing is unpickled.

    Raises:
        EvaluationError: it is neither here nor can it be fetched.
    """
    from transformers import AutoFeatureExtractor, AutoTokenizer, ClapModel

    check_model_folder(name)
    try:
        with quiet_loading():
            model = ClapModel.from_pretrained(name, weights_only=True)
        processor = AutoFeatureExtractor.from_pretrained(name)
        tokenizer = AutoTokenizer.from_pretrained(name)
    except Exception as error:  # transformers raises all kinds for a folder of unknown make
        reason = " ".join(str(error).split())[:160]
        raise EvaluationError(
            f"cannot load CLAP from '{name}': {reason}. Give a folder with config.json and weights "
            f"(huggingface-cli download laion/clap-htsat-unfused --local-dir clap), then clap:clap"
        ) from error
    return Clap(name, model, processor, tokenizer, device=device)


def spectrogram_of(run: Path) -> SpectrogramConfig | None:
    """How the training shards of a run drew their sounds; None where nothing says."""
    places = [run / SPECTROGRAM_FILE]
    config = run / "config.json"
    if config.is_file():
        try:
            train = read_json(config)["config"]["data"]["train"]
        except (OSError, ValueError, KeyError, TypeError):
            train = []
        listed = train if isinstance(train, list) else []
        places += [Path(str(source)) / SPECTROGRAM_FILE for source in listed]
    for place in places:
        if place.is_file():
            try:
                found = replace(SpectrogramConfig(), **read_object(place))
                check_fields(found)
            except (OSError, ValueError, TypeError) as error:
                raise EvaluationError(
                    f"{place} does not say how sounds are drawn ({error}); build the shards again "
                    "with 'vlsuite data sounds'"
                ) from error
            return found
    return None


def embedded_picture(model: EmbeddingModel, picture: Image.Image) -> Float[Tensor, " embed_dim"]:
    """Unit-norm embedding of one RGB picture, on the CPU."""
    pixels = model.image_transform(picture)[None]
    with torch.no_grad():
        return model.embed_images(pixels.to(model.device))[0].float().cpu()


def _pooled(found: Any) -> Tensor:
    """Versions of transformers return the projected features as they are, or as an output."""
    return found if isinstance(found, Tensor) else found.pooler_output
