"""The parser of lmms-eval's OmniBench task, frozen with its faults.

Public code: EvolvingLMMs-Lab/lmms-eval, lmms_eval/tasks/omni_bench/utils.py. Rewritten from its
rules: OmniBench's own on the stripped response, without the texts of options.
"""

from collections.abc import Sequence

from eval.omnibench.parsers.registry import parsers
from eval.omnibench.parsers.upstream import parse_padded


@parsers.register("lmms")
def parse_lmms(text: str, options: Sequence[str]) -> int | None:
    """No answer where the harness has none; it counts that as wrong."""
    return parse_padded(f" {text.strip()} ", options, with_texts=False)
