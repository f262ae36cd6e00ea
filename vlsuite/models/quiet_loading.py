"""Models of transformers, loaded without its bars."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_loading() -> Iterator[None]:
    """transformers shows no bars while the block runs; downloads from the hub keep theirs."""
    from huggingface_hub import utils as hub
    from transformers.utils import logging

    shows_own, hides_hub = logging.is_progress_bar_enabled(), hub.are_progress_bars_disabled()
    logging.disable_progress_bar()
    if not hides_hub:
        hub.enable_progress_bars()
    try:
        yield
    finally:
        if shows_own:
            logging.enable_progress_bar()
        if hides_hub:
            hub.disable_progress_bars()
