"""Models of other libraries by folder or name, and one line where they are missing.

Weights are read as safetensors, or as plain tensors (``weights_only``): nothing is unpickled.
"""

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from data_pipelines.spacy_models import SpacyModelError, load_pipeline
from eval.errors import EvaluationError
from vlsuite.models.identity import identity
from vlsuite.models.quiet_loading import quiet_loading
from vlsuite.models.sizes import check_model_folder


def load_encoder(spec: str, *, device: str) -> tuple[Any, Any]:
    """Tokenizer and encoder for embedding texts.

    Raises:
        EvaluationError: neither a folder of a model nor a name the hub or its cache knows.
    """
    from transformers import AutoModel, AutoTokenizer

    return _loaded(
        spec, "encoder", AutoTokenizer.from_pretrained, AutoModel.from_pretrained, device
    )


def load_masked_lm(spec: str, *, device: str) -> tuple[Any, Any]:
    """Tokenizer and masked language model.

    Raises:
        EvaluationError: see ``load_encoder``; or it has no mask token.
    """
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    tokenizer, model = _loaded(
        spec,
        "masked language model",
        AutoTokenizer.from_pretrained,
        AutoModelForMaskedLM.from_pretrained,
        device,
    )
    if tokenizer.mask_token_id is None:
        raise EvaluationError(
            f"{spec} has no mask token; give a masked language model such as bert-base-cased"
        )
    return tokenizer, model


def load_object_detector(spec: str, *, device: str) -> tuple[Any, Any]:
    """Image processor and object detector (DETR, YOLOS and their like).

    Raises:
        EvaluationError: see ``load_encoder``.
    """
    from transformers import AutoImageProcessor, AutoModelForObjectDetection

    return _loaded(
        spec,
        "object detector",
        AutoImageProcessor.from_pretrained,
        AutoModelForObjectDetection.from_pretrained,
        device,
    )


def load_spacy(model: str) -> Any:
    """A spaCy pipeline by package, distribution or folder; see ``data_pipelines.spacy_models``.

    Raises:
        EvaluationError: spaCy or the model is not installed, or it cannot be read.
    """
    try:
        return load_pipeline(model)
    except SpacyModelError as error:
        raise EvaluationError(str(error)) from error


def _loaded(
    spec: str,
    what: str,
    preprocessor: Callable[..., Any],
    model: Callable[..., Any],
    device: str,
) -> tuple[Any, Any]:
    known_only = not Path(spec).is_dir() and not _hub_is_near()
    check_model_folder(spec)
    try:
        first = preprocessor(spec, local_files_only=known_only)
        with quiet_loading():
            second = model(spec, use_safetensors=True, local_files_only=known_only)
    except Exception as error:  # transformers raises all kinds for a folder of unknown make
        raise EvaluationError(_missing(spec, what, error)) from error
    return first, second.to(device).eval()


def _hub_is_near() -> bool:
    """Whether asking makes sense: without a name server every file is retried for half a minute."""
    from huggingface_hub import constants

    if any(os.environ.get(name) for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY")):
        return True
    try:
        socket.getaddrinfo(urlsplit(constants.ENDPOINT).hostname, 443)
    except OSError:
        return False
    return True


def _missing(spec: str, what: str, error: Exception) -> str:
    reason = " ".join(str(error).split())[:200]
    if Path(spec).is_dir():
        return (
            f"the folder {spec} is no {what} that transformers can load ({reason}); it needs "
            "config.json, model.safetensors and the files of its tokenizer or image processor"
        )
    return (
        f"no {what} '{spec}' here, and it cannot be downloaded; where there is a network run "
        f"'hf download {spec}' and copy the folder, then give its path ({reason})"
    )


def fingerprint_of(model: Any, tokenizer: Any | None = None) -> str:
    """SHA-256 over all that outputs depend on: weights, architecture, tokenizer or processor."""
    return identity(model=model, tokenizer=tokenizer)
