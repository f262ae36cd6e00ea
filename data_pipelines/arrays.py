"""NumPy files of unknown make."""

import io

import numpy as np

from data_pipelines.errors import BadSampleError

_MAX_VALUES = 2**26


def read_array(data: bytes, name: str) -> np.ndarray:
    """A NumPy file without pickled objects.

    Args:
        name: of the member, for the message.
    Raises:
        BadSampleError: no such file, or one with objects, or too large.
    """
    try:
        array = np.load(io.BytesIO(data), allow_pickle=False, max_header_size=10_000)
    except (ValueError, OSError, EOFError) as error:
        raise BadSampleError(
            "broken array", f"{name}: {' '.join(str(error).split())[:120]}"
        ) from error
    if not isinstance(array, np.ndarray) or array.size > _MAX_VALUES:
        raise BadSampleError("broken array", f"{name} is no array of usual size")
    return array
