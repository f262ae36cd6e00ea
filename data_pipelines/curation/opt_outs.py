"""What the makers of a picture forbid: in the header of its server, in the picture itself.

* ``X-Robots-Tag`` as it was sent with the picture, where the json of a sample tells it. The
  directives ``noai``, ``noimageai``, ``noindex`` and ``noimageindex`` are those that img2dataset
  heeds.
* The property "Data Mining" of the PLUS coalition (IPTC Photo Metadata 2023.1), in the XMP of the
  picture: an address that ends in DMI-PROHIBITED-AIMLTRAINING, DMI-ALLOWED and the like. XMP that
  is compressed (some PNG) is not found.
"""

import re
from collections.abc import Mapping

from data_pipelines.schema import JsonValue
from data_pipelines.shards.stored_sample import printable

#: Names of the header in the json of a sample.
HEADER_FIELDS = ("x_robots_tag", "x-robots-tag", "X-Robots-Tag", "robots_tag")

_MOST_CHARS = 500
_TERMS = b"ns.useplus.org/ldf/vocab/DMI-"
_TERM = re.compile(rb"[A-Z-]{1,60}")


def robots_tag_of(fields: Mapping[str, JsonValue]) -> str | None:
    """The header as sent, several of them joined by commas; None where json does not tell it."""
    for name in HEADER_FIELDS:
        told = fields.get(name)
        listed = told if isinstance(told, list) else [told]
        texts = [one for one in listed if isinstance(one, str) and one]
        if texts:
            return printable(", ".join(texts)[:_MOST_CHARS])
    return None


def data_mining_of(data: bytes) -> str | None:
    """What the XMP of an encoded picture says of data mining, in small letters and without its
    prefix ("prohibited-aimltraining", "allowed"); None where it says nothing."""
    place = data.find(_TERMS)
    term = _TERM.match(data, place + len(_TERMS)) if place >= 0 else None
    return term[0].decode("ascii").lower() if term else None
