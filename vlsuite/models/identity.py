"""What a model's output depends on, as one digest: equal digests mean equal outputs.

Weights alone do not tell models apart: an activation, the number of heads, an epsilon, where a
text is pooled or how a tokenizer cleans change every embedding and no tensor. So the digest walks
through the model itself: each module's class and plain attributes, all parameters and buffers
(those that are not saved too), the whole tokenizer, and whatever settings are given besides.
Where an attribute is of a kind that says nothing about itself (objects of compiled libraries), its
class stands for it; ``TOKENIZER_PROBES`` go through every tokenizer for that reason.

Left out is what changes no output in evaluation: the training flag, gradient checkpointing,
private attributes, caches, and names of files and folders.
"""

import dataclasses
import enum
import functools
import hashlib
import json
import re
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

#: Texts that tokenizers with other vocabularies or rules give other ids for.
TOKENIZER_PROBES = (
    "a photo of a cat.",
    "Zw\u00f6lf Boxk\u00e4mpfer, 3.14 \u20ac: x_y",
    "\u65e5\u672c\u8a9e \U0001f642",
)

_UNIMPORTANT = frozenset(
    {
        *vars(nn.Module()),
        "cache", "dtype", "grad_checkpointing", "gradient_checkpointing", "init_inputs",
        "init_kwargs", "name", "name_or_path", "tokenizer_file", "torch_dtype", "training",
        "transformers_version", "vocab_file", "vocab_files_names", "warnings_issued",
    }
)  # fmt: skip
#: Of a fast tokenizer's description; set by the last call, given anew by the next.
_LEFT_BY_CALLS = ("truncation", "padding")
_DEEPEST = 12
_PLAIN = (types.NoneType, bool, int, float, complex, str, bytes)


def identity(**parts: Any) -> str:
    """SHA-256 over all parts, as hexadecimal digits; their order does not matter.

    Args:
        parts: modules, tokenizers (plain callables of texts too), settings, numbers, tensors.
    """
    writer = _Writer()
    for name, part in sorted(parts.items()):
        writer.write(name)
        writer.write(part)
    return writer.digest.hexdigest()


def tokenizer_identity(tokenizer: Any, ids_of: Callable[[list[str]], Any] | None = None) -> str:
    """SHA-256 over a tokenizer's settings and vocabulary, and the ids it gives the probes.

    Args:
        tokenizer: of open_clip, transformers or tokenizers, or any other object.
        ids_of: texts to token ids, where the tokenizer is to be asked; a tensor or lists.
    """
    probed = None if ids_of is None else ids_of(list(TOKENIZER_PROBES))
    return identity(tokenizer=tokenizer, probed=probed)


class _Writer:
    """Feeds values of any kind into a digest, each with its kind and length."""

    def __init__(self) -> None:
        self.digest = hashlib.sha256()
        self._above: list[int] = []

    def write(self, value: Any) -> None:
        """Everything the value says about itself."""
        if isinstance(value, _PLAIN):
            self._leaf(type(value).__name__, repr(value).encode("utf-8", "surrogatepass"))
        elif isinstance(value, np.generic):
            self.write(value.item())
        elif isinstance(value, Tensor):
            self._tensor(value)
        elif isinstance(value, np.ndarray):
            self._leaf(f"array {value.dtype} {value.shape}", np.ascontiguousarray(value).tobytes())
        elif id(value) in self._above or len(self._above) > _DEEPEST:
            self._leaf("again", type(value).__qualname__.encode())
        else:
            self._above.append(id(value))
            self._compound(value)
            self._above.pop()

    def _compound(self, value: Any) -> None:
        if isinstance(value, nn.Module):
            self._module(value)
        elif isinstance(value, Mapping) and _is_plain(value.values()):
            told = sorted((repr(key), repr(item)) for key, item in value.items())
            self._leaf("plain items", repr(told).encode("utf-8", "surrogatepass"))
        elif isinstance(value, Mapping):
            self._items({str(key): item for key, item in value.items()})
        elif isinstance(value, set | frozenset):
            self._leaf("set", repr(sorted(map(repr, value))).encode())
        elif isinstance(value, list | tuple) and _is_plain(value):
            told = repr(list(value)).encode("utf-8", "surrogatepass")
            self._leaf("plain sequence", told)
        elif isinstance(value, Sequence):
            self._leaf("sequence", str(len(value)).encode())
            for item in value:
                self.write(item)
        elif isinstance(value, functools.partial):
            self._leaf("partial", b"")
            self.write([value.func, value.args, value.keywords])
        elif isinstance(value, types.FunctionType):
            self._function(value)
        elif isinstance(value, types.MethodType):
            self._leaf("method", value.__qualname__.encode())
            self.write(value.__self__)
        elif isinstance(value, type | types.BuiltinFunctionType):
            self._leaf("name", f"{value.__module__}.{value.__qualname__}".encode())
        else:
            self._object(value)

    def _leaf(self, kind: str, content: bytes | memoryview) -> None:
        self.digest.update(f"{kind} {len(content)}:".encode())
        self.digest.update(content)

    def _items(self, items: Mapping[str, Any]) -> None:
        self._leaf("items", str(len(items)).encode())
        for name in sorted(items):
            self.write(name)
            self.write(items[name])

    def _tensor(self, tensor: Tensor) -> None:
        if tensor.is_meta:
            self._leaf(f"meta {tensor.dtype} {tuple(tensor.shape)}", b"")
            return
        # as bytes, for NumPy knows no bfloat16
        flat = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        content: Any = flat.numpy()
        self._leaf(f"tensor {tensor.dtype} {tuple(tensor.shape)}", memoryview(content))

    def _module(self, module: nn.Module) -> None:
        for name, part in module.named_modules(remove_duplicate=False):
            self._leaf("module", f"{name} {_name_of(type(part))}".encode())
            self._items(_told(vars(part)))
        for kind in ("parameters", "buffers"):
            for name, tensor in sorted(
                getattr(module, f"named_{kind}")(remove_duplicate=False), key=lambda pair: pair[0]
            ):
                self.write(name)
                self._tensor(tensor)

    def _function(self, function: types.FunctionType) -> None:
        self._leaf("function", f"{function.__module__}.{function.__qualname__}".encode())
        cells = [cell.cell_contents for cell in function.__closure__ or ()]
        self.write([function.__defaults__, function.__kwdefaults__, cells])

    def _object(self, value: Any) -> None:
        self._leaf("object", _name_of(type(value)).encode())
        if isinstance(value, re.Pattern):
            self.write([value.pattern, value.flags])
        elif isinstance(value, enum.Enum):
            self.write([value.name, value.value])
        elif hasattr(value, "get_vocab") and not isinstance(value, type):
            self._vocabulary(value)
        elif hasattr(value, "to_dict"):
            self._items(_told(value.to_dict()))
        elif dataclasses.is_dataclass(value):
            self._items({f.name: getattr(value, f.name) for f in dataclasses.fields(value)})
        elif hasattr(value, "__dict__"):
            self._items(_told(vars(value)))
        elif isinstance(value, torch.dtype | torch.device | range | slice):
            self.write(repr(value))

    def _vocabulary(self, tokenizer: Any) -> None:
        """A tokenizer of tokenizers or transformers: rules, vocabulary, special tokens, sides."""
        compiled = getattr(tokenizer, "backend_tokenizer", tokenizer)
        if hasattr(compiled, "to_str"):
            rules = json.loads(compiled.to_str())
            self._items({name: rules[name] for name in rules if name not in _LEFT_BY_CALLS})
        else:
            self._items(tokenizer.get_vocab())
            self._items(_told(vars(tokenizer)))
        pieces: Any = getattr(tokenizer, "sp_model", None)
        if hasattr(pieces, "serialized_model_proto"):
            self.write(pieces.serialized_model_proto())
        for name in ("special_tokens_map", "model_max_length", "padding_side", "truncation_side"):
            self.write(_plain(getattr(tokenizer, name, None)))


def _told(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in attributes.items()
        if not name.startswith("_") and name not in _UNIMPORTANT
    }


def _is_plain(values: Iterable[Any]) -> bool:
    """Whether all say everything by themselves; a vocabulary is told at once then."""
    return {type(value) for value in values}.issubset(_PLAIN)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): str(item) for key, item in value.items()}
    return value


def _name_of(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"
