"""RSTPReid: five photographs of each pedestrian by five cameras, two captions each.

Zhu et al. 2021, ACM Multimedia, arXiv 2109.05534, and the README of
NjtechCVLab/RSTPReid-Dataset: 20,505 images of 4,101 persons, of whom 3,701 are for training, 200
for validation and 200 for testing; at five images each these are 18,505, 1,000 and 1,000 images,
and at two captions each 37,010 for training, which RDE's noise indices agree with.
"""

from dataclasses import dataclass
from typing import ClassVar

from data_pipelines.sources.person_search import PersonSearch
from data_pipelines.sources.source import sources


@sources.register("rstp-reid")
@dataclass(frozen=True, kw_only=True)
class RstpReid(PersonSearch):
    """Settings."""

    HELP: ClassVar[str] = "RSTPReid as distributed: data_captions.json and imgs"
    EXAMPLE: ClassVar[str] = (
        "vlsuite data build rstp-reid RSTPReid --split train --out data/rstp-train"
    )
    NAME: ClassVar[str] = "RSTPReid"
    LISTS: ClassVar[tuple[str, ...]] = ("data_captions.json",)
    PATH_FIELD: ClassVar[str] = "img_path"
