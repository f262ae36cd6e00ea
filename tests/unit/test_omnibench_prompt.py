"""Four styles: order of parts, form of options, place of replacements, as section 6 of the
comparison of harnesses states them (upstream demo, lmms-eval 75571cf, evalscope fde259d)."""

import pytest

from eval.errors import EvaluationError
from eval.respondents.media import BytesMedia
from eval.respondents.prompt import STYLES, TextPart, parts, style_fingerprint
from eval.respondents.question import SETTINGS, OmniQuestion, Prompted, prompted

QUESTION = OmniQuestion(
    index=3,
    task_type="Plot Inference",
    audio_type="speech",
    text="What happens next?",
    options=("A man leaves", "Nothing", "It rains", "They sing"),
    answer=2,
    transcript="heard words",
    caption="seen words",
    image=BytesMedia("picture.png", b"picture"),
    audio=BytesMedia("sound.mp3", b"sound"),
)


def shown(setting: str, style: str) -> tuple[list[str], str]:
    """Kinds of parts in order, and all text."""
    found = parts(prompted(QUESTION, SETTINGS[setting]), style)
    kinds = [type(part).__name__.removesuffix("Part").lower() for part in found]
    return kinds, "\n".join(part.text for part in found if isinstance(part, TextPart))


@pytest.mark.parametrize(
    ("style", "order"),
    [
        ("vlsuite", ["image", "audio", "text"]),
        ("upstream", ["text", "image", "audio"]),
        ("lmms", ["audio", "image", "text"]),
        ("evalscope", ["text", "image", "audio"]),
    ],
)
@pytest.mark.parametrize("setting", SETTINGS)
def test_parts_come_in_the_order_of_the_style(style: str, order: list[str], setting: str) -> None:
    kept = {"text"}
    kept |= {"image"} if SETTINGS[setting].image == "raw" else set()
    kept |= {"audio"} if SETTINGS[setting].audio == "raw" else set()
    assert shown(setting, style)[0] == [kind for kind in order if kind in kept]


@pytest.mark.parametrize(
    ("style", "options"),
    [
        ("vlsuite", "\nA. A man leaves\nB. Nothing\nC. It rains\nD. They sing\n"),
        ("upstream", "\nA. A man leaves B. Nothing C. It rains D. They sing."),
        ("lmms", "\nA. A man leaves\nB. Nothing\nC. It rains\nD. They sing\n"),
        ("evalscope", "\nA) A man leaves\nB) Nothing\nC) It rains\nD) They sing"),
    ],
)
def test_options_have_the_form_of_the_style(style: str, options: str) -> None:
    assert options in shown("image_audio", style)[1]


@pytest.mark.parametrize("style", STYLES)
def test_replacements_stand_where_the_style_has_them(style: str) -> None:
    text = shown("caption_transcript", style)[1]
    heard, seen = text.index("heard words"), text.index("seen words")
    question, options = text.index("What happens next?"), text.index("They sing")
    if style == "evalscope":
        assert options < heard < seen
    else:
        assert max(heard, seen) < question < options
    assert (seen < heard) == (style == "vlsuite")


def test_upstream_ends_the_question_with_a_further_stop() -> None:
    assert "What happens next?.\n" in shown("image", "upstream")[1]
    assert shown("image", "upstream")[1].startswith("Answer the question below from the given im")


def test_evalscope_speaks_of_picture_and_sound_in_every_setting() -> None:
    texts = {shown(setting, "evalscope")[1].partition("\n")[0] for setting in SETTINGS}
    assert len(texts) == 1
    assert "ANSWER: X" in texts.pop()


def test_styles_have_fingerprints_of_their_own_and_unknown_ones_are_named() -> None:
    assert len({style_fingerprint(style) for style in STYLES}) == 4
    with pytest.raises(EvaluationError, match="choose from vlsuite, upstream, lmms, evalscope"):
        parts(prompted(QUESTION, SETTINGS["image"]), "mine")


def test_a_prompted_question_holds_nothing_of_what_is_removed() -> None:
    for setting in SETTINGS.values():
        given: Prompted = prompted(QUESTION, setting)
        assert (given.image is not None) == (setting.image == "raw")
        assert (given.caption is not None) == (setting.image == "text")
        assert (given.audio is not None) == (setting.audio == "raw")
        assert (given.transcript is not None) == (setting.audio == "text")
