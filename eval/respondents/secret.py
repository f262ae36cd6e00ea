"""Keeps an API key out of what is shown and stored."""

from urllib.parse import quote

from data_pipelines.printable import keep_secret

#: Characters; shorter keys are placeholders ("EMPTY", "none") that answers may hold by chance.
_SHORTEST_REAL_KEY = 8


class Secret:
    """An API key.

    Args:
        key: None for none.
    """

    def __init__(self, key: str | None) -> None:
        self._is_real = key is not None and len(key) >= _SHORTEST_REAL_KEY
        forms = {key, quote(key, safe=""), key.replace("/", "\\/")} if key else set()
        self._forms = sorted(forms, key=len, reverse=True)
        if self._is_real:
            for form in self._forms:
                keep_secret(form)

    def hide(self, text: str) -> str:
        """A message without the key; it is hidden before anything is cut off."""
        for form in self._forms:
            text = text.replace(form, "***")
        return text

    def hide_in_answer(self, text: str) -> str:
        """An answer without the key, should it echo one; placeholders of keys stay."""
        return self.hide(text) if self._is_real else text
