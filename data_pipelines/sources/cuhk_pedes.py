"""CUHK-PEDES: photographs of pedestrians, mostly with two captions each.

Li et al. 2017, CVPR, arXiv 1702.05729. Images and persons of the splits as papers that use it
state them: 34,054 and 11,003 (train), 3,078 and 1,000 (val), 3,074 and 1,000 (test); 40,206 and
13,003 in all, with 80,412 captions as the paper counts two an image. The noise indices of RDE
are made for 68,126 training captions, since a few images have more than two. No person is in
two splits.
"""

from dataclasses import dataclass
from typing import ClassVar

from data_pipelines.sources.person_search import PersonSearch
from data_pipelines.sources.source import sources


@sources.register("cuhk-pedes")
@dataclass(frozen=True, kw_only=True)
class CuhkPedes(PersonSearch):
    """Settings; an entry also has "processed_tokens", which is not read."""

    HELP: ClassVar[str] = "CUHK-PEDES as distributed: reid_raw.json and imgs"
    EXAMPLE: ClassVar[str] = (
        "vlsuite data build cuhk-pedes CUHK-PEDES --split train --out data/cuhk-train"
    )
    NAME: ClassVar[str] = "CUHK-PEDES"
    LISTS: ClassVar[tuple[str, ...]] = ("reid_raw.json",)
    PATH_FIELD: ClassVar[str] = "file_path"
