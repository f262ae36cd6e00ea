"""Words of captions, as Stanford's tokenizer (CoreNLP 3.4.1, as COCO's tool runs it) splits them.

The right-hand sides were printed by that program; none of them was written by hand.
"""

import pytest

from eval.metrics.caption_words import caption_words


@pytest.mark.parametrize(
    ("caption", "words"),
    [
        ("A man's dog, isn't it? (yes)", "a man 's dog is n't it -lrb- yes -rrb-"),
        (
            "the red/blue car - and co-operative twenty-two 3.5 km",
            "the red/blue car and co-operative twenty-two 3.5 km",
        ),
        ("\"Hello\" 'world' & $5 10% #tag @me", "hello world & $ 5 10 % #tag @me"),
        (
            "can't cannot gonna wanna gotta lemme d'ye",
            "ca n't can not gon na wan na got ta lem me d'ye",
        ),
        ("U.S. Mr. Smith e.g. p.m. 5 p.m.", "u.s. mr. smith e.g. p.m. 5 p.m."),
        (
            "caf\u00e9 na\u00efve \u2014 dash \u2018quote\u2019 \u2026 dots... end",
            "caf\u00e9 na\u00efve dash quote dots end",
        ),
        ("1,000 people; 10:30 am: x", "1,000 people 10:30 am x"),
        ("the dogs' bones 'tis we'll I'm you've", "the dogs bones 't is we 'll i 'm you 've"),
        ("emoji \U0001f600 a_b [x] {y}", "emoji a_b -lsb- x -rsb- -lcb- y -rcb-"),
        ("half 1/2 \u00bd 12/25/2020 555-1234", "half 1/2 1/2 12/25/2020 555-1234"),
        ("C++ C# AT&T R&B o'clock", "c++ c# at&t r&b o'clock"),
        ("!!! ??? ?! .. .... -- --- ___", "!!! ??? ?! ___"),
        ("it's me and u.", "it 's me and u."),
        ("(0.01 \u20ac) and ($.01)", "-lrb- 0.01 $ -rrb- and -lrb- $ .01 -rrb-"),
        ("", ""),
    ],
)
def test_words(caption: str, words: str) -> None:
    assert " ".join(caption_words(caption)) == words
