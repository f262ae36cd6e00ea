"""Questions about stamps: what is asked is asked fairly, and nothing of the test is trained on."""

from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.support.stamps_questions import KINDS, make_questions
from benchmarks.support.stamps_samples import Stamp, divide, groups
from benchmarks.support.stamps_training import two_part


def _stamps(names: list[tuple[int, int, int]]) -> list[Stamp]:
    return [
        Stamp(
            uid=f"u{i}",
            category="animals/birds",
            picture=bytes([i % 251, i // 251]),
            names={"en": f"Thing {english}.", "fr": f"Chose {french}."},
            speech=b"said" + bytes([french]),
            sound=b"heard" + bytes([sound]) if sound else None,
        )
        for i, (english, french, sound) in enumerate(names)
    ]


_names = st.lists(
    st.tuples(st.integers(0, 90), st.integers(0, 90), st.integers(0, 20)), min_size=1, max_size=60
)


@settings(max_examples=60, deadline=None)
@given(_names, st.integers(0, 5))
def test_nothing_is_on_both_sides(names, seed):
    stamps = _stamps(names)
    train, test = divide(stamps, test_share=0.4, seed=seed)
    tested = [stamp for group in test for stamp in group]
    assert sorted(s.uid for s in [*train, *tested]) == sorted(s.uid for s in stamps)
    for content in ("english", "french", "picture", "speech", "sound"):
        seen = {getattr(stamp, content) for stamp in train} - {None}
        assert not seen & {getattr(stamp, content) for stamp in tested}


@settings(max_examples=30, deadline=None)
@given(_names)
def test_groups_are_the_connected_parts(names):
    stamps = _stamps(names)
    found = groups(stamps)
    assert sum(map(len, found)) == len(stamps)
    for one in found:
        reached, todo = {one[0].uid}, [one[0]]
        while todo:
            stamp = todo.pop()
            near = [
                other
                for other in stamps
                if other.uid not in reached
                and (
                    other.english == stamp.english
                    or other.french == stamp.french
                    or (other.sound is not None and other.sound == stamp.sound)
                )
            ]
            reached |= {other.uid for other in near}
            todo += near
        assert reached == {stamp.uid for stamp in one}


def test_questions_need_what_they_say():
    stamps = _stamps([(i, i, i if i % 3 else 0) for i in range(90)])
    _, test = divide(stamps, test_share=0.5, seed=1)
    questions = make_questions(test, seed=1)
    assert questions == make_questions(test, seed=1)
    assert {question.kind for question in questions} == set(KINDS)
    for kind in KINDS:
        own = [question for question in questions if question.kind == kind]
        places = [sum(q.answer == place for q in own) for place in range(4)]
        assert max(places) - min(places) <= 1
    for question in questions:
        assert len(set(question.options)) == 4
        shown, played = question.picture.english, question.recording.english
        right = question.options[question.answer]
        if question.kind == "both":
            assert right == two_part(shown, played)
            with_shown = [o for o in question.options if f"In the picture: {shown}" in o]
            with_played = [o for o in question.options if f"In the recording: {played}" in o]
            assert (len(with_shown), len(with_played)) == (2, 2)
        elif question.kind == "image":
            assert right == shown
            assert played not in question.options
        else:
            assert right == played
            assert shown not in question.options
