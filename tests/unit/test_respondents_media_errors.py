"""Messages about broken media are the same each time, for logs are compared byte by byte."""

import pytest

from data_pipelines.errors import DataError
from data_pipelines.sound import decode
from eval.respondents.media_parts import encode_audio, encode_image


@pytest.mark.parametrize(
    ("encode", "data"),
    [
        (encode_audio, b"OggS" + b"x" * 50),
        (encode_image, b"\x89PNG\r\n\x1a\nxx"),
        (lambda data: decode(data, name="a.ogg"), b"OggS" + b"x" * 50),
    ],
)
def test_no_memory_address_in_the_reason(encode, data):
    messages = set()
    for _ in range(2):
        with pytest.raises(DataError) as error:
            encode(data)
        messages.add(str(error.value))
    (message,) = messages
    assert "0x" not in message
