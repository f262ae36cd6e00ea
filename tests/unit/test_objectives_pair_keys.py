import hashlib

import torch

from vlsuite.batches.pairs import PairBatch
from vlsuite.objectives.pair_keys import hashed, pair_keys, same_identity


def batch(uids, numbers, identities) -> PairBatch:
    count = len(uids)
    return PairBatch(
        images=torch.zeros(count, 3, 2, 2, dtype=torch.uint8),
        token_ids=torch.zeros(count, 4, dtype=torch.int64),
        uids=tuple(uids),
        sources=(0,) * count,
        caption_numbers=tuple(numbers),
        identities=tuple(identities),
    )


def test_captions_of_a_picture_are_pairs_of_their_own_and_of_one_identity():
    keys = pair_keys([batch(["a", "a", "b"], [0, 1, 0], [None, None, None])])
    assert len(set(keys.pairs.tolist())) == 3
    assert keys.identities[0] == keys.identities[1] != keys.identities[2]


def test_pictures_of_a_person_are_one_identity():
    keys = pair_keys([batch(["a", "b", "c"], [0, 0, 0], ["p1", "p1", None])])
    assert keys.identities[0] == keys.identities[1] != keys.identities[2]


def test_a_person_named_like_a_uid_is_not_that_picture():
    keys = pair_keys([batch(["x", "y"], [0, 0], [None, "x"])])
    assert keys.identities[0] != keys.identities[1]


def test_micro_batches_are_joined_in_order():
    parts = [batch(["a", "b"], [0, 0], [None, "p"]), batch(["c"], [2], [None])]
    whole = batch(["a", "b", "c"], [0, 0, 2], [None, "p", None])
    for joined, expected in zip(pair_keys(parts), pair_keys([whole]), strict=True):
        assert torch.equal(joined, expected)


def test_keys_are_the_same_in_every_run():
    digest = hashlib.blake2b(b"pair\0a\x000", digest_size=8).digest()
    assert hashed("pair", "a", "0") == int.from_bytes(digest, "big", signed=True)
    assert hashed("ab", "c") != hashed("a", "bc")


def test_same_identity_equals_a_loop():
    identities = torch.tensor([3, 1, 3, 2, 1])
    found = same_identity(identities).tolist()
    rows = identities.tolist()
    assert found == [[a == b for b in rows] for a in rows]
