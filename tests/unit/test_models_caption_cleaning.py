"""The exported tokenizer's ids against open_clip's own, on captions that are cleaned first."""

import open_clip
import pytest

from vlsuite.models.dual_encoder import export_forms as forms
from vlsuite.models.dual_encoder.caption_cleaning import HARD_CAPTIONS, NOT_DONE
from vlsuite.models.dual_encoder.huggingface_tokenizer import _built_in_tokenizer

MORE = ("\u30da\u30f3\u30ae\u30f3\u306e\u3000\u304b\u3061\uff01", "IT'S the DOG'S", "1,000", "...")


@pytest.fixture(scope="module")
def exported():
    return _built_in_tokenizer(77)


@pytest.mark.parametrize("caption", HARD_CAPTIONS + MORE)
def test_ids_are_those_of_open_clip(exported, caption):
    tokenizer = open_clip.get_tokenizer("ViT-B-32")
    ids = tokenizer([caption])[0].tolist()
    expected = ids[: ids.index(tokenizer.eot_token_id) + 1]
    assert exported(caption, truncation=True)["input_ids"] == expected


def test_every_export_is_checked_with_them_and_says_what_is_not_done():
    assert set(HARD_CAPTIONS) <= set(forms.random_captions(seed=0))
    assert forms.FORMS["huggingface"].remark == NOT_DONE
