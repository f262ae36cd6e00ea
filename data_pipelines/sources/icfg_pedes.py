"""ICFG-PEDES: photographs of pedestrians from MSMT17 with one caption each.

Ding et al. 2021, arXiv 2107.12666. 34,674 images of 3,102 persons (train) and 19,848 images of
1,000 persons (test, which IRRA's reader counts as 4,855 queries and 14,993 gallery images);
54,522 of 4,102 in all. There is no val split. The folders "train" and "test" below "imgs" are
those of MSMT17; the list alone says what belongs to which split (README of zifyloo/SSAN, which
writes the list's name with an underscore).
"""

from dataclasses import dataclass
from typing import ClassVar

from data_pipelines.sources.person_search import PersonSearch
from data_pipelines.sources.source import sources


@sources.register("icfg-pedes")
@dataclass(frozen=True, kw_only=True)
class IcfgPedes(PersonSearch):
    """Settings; an entry also has "processed_tokens", which is not read."""

    HELP: ClassVar[str] = "ICFG-PEDES as distributed: ICFG-PEDES.json and imgs"
    EXAMPLE: ClassVar[str] = (
        "vlsuite data build icfg-pedes ICFG-PEDES --split train --out data/icfg-train"
    )
    NAME: ClassVar[str] = "ICFG-PEDES"
    LISTS: ClassVar[tuple[str, ...]] = ("ICFG-PEDES.json", "ICFG_PEDES.json")
    PATH_FIELD: ClassVar[str] = "file_path"
