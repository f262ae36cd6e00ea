"""Which emoji are variants of one another: the base that all of them share.

A base is what remains of an emoji when skin tones, gender, hair, direction and colour are taken
away. "Man cook: dark skin tone", "woman cook" and "cook" have one base, and so have all couples
kissing. Splits that promise "no variant of it in training" are made of whole bases. Flags,
keycaps and clock faces are bases of their own.
"""

Points = tuple[int, ...]

JOINER = 0x200D
PRESENTATION = 0xFE0F
SKIN_TONES = frozenset(range(0x1F3FB, 0x1F400))

_GENDER_SIGNS = frozenset({0x2640, 0x2642})
_HAIR = frozenset(range(0x1F9B0, 0x1F9B4))
_DIRECTIONS = frozenset({0x27A1, 0x2194, 0x2195})
_COLOURS = frozenset({0x2B1B, 0x1F7E9, 0x1F7EB})  # black cat, lime, brown mushroom

#: Parts of a joined sequence that make a variant of the rest, when there is a rest.
_MODIFIERS = _GENDER_SIGNS | _HAIR | _DIRECTIONS | _COLOURS

_PERSON, _CHILD, _FAMILY = 0x1F9D1, 0x1F9D2, 0x1F46A

#: One code point for people of each age, whatever their gender, hair or beard.
_NEUTRAL = {
    0x1F468: _PERSON,  # man
    0x1F469: _PERSON,  # woman
    0x1F471: _PERSON,  # person: blond hair
    0x1F9D4: _PERSON,  # person: beard
    0x1F466: _CHILD,  # boy
    0x1F467: _CHILD,  # girl
    0x1F474: 0x1F9D3,  # old man
    0x1F475: 0x1F9D3,  # old woman
}

#: What people do together; the part that names it decides, whoever they are. A kiss also has
#: the heart among its parts, so it comes first.
_SHARED_ACTIVITIES = {
    0x1F48B: (0x1F48F,),  # kiss
    0x2764: (0x1F491,),  # couple with heart
    0x1F91D: (0x1F46D,),  # holding hands
    0x1FAEF: (0x1F93C,),  # wrestling
    0x1F430: (0x1F46F,),  # with bunny ears
}

#: Variants that Unicode encodes without a common part, and pictures that hardly differ.
_TWINS = {
    (0x1F46B,): (0x1F46D,),  # woman and man, men, women holding hands
    (0x1F46C,): (0x1F46D,),
    (0x1FAF1, 0x1FAF2): (0x1F91D,),  # handshake of two skin tones
    (0x1F934,): (0x1FAC5,),  # prince, princess: person with crown
    (0x1F478,): (0x1FAC5,),
    (0x1F936,): (0x1F385,),  # Mrs. Claus, Mx Claus: Santa Claus
    (_PERSON, 0x1F384): (0x1F385,),
    (0x1F57A,): (0x1F483,),  # man and woman dancing
    (0x1F930,): (0x1FAC4,),  # pregnant woman and man: person
    (0x1FAC3,): (0x1FAC4,),
    (0x1F931,): (_PERSON, 0x1F37C),  # breast-feeding: feeding baby
    (0x1F9BB,): (0x1F442,),  # ear with hearing aid: ear
    (0x1F64E,): (0x1F64D,),  # pouting and frowning people, drawn almost alike
    (0x1F43B, 0x2744): (0x1F43B,),  # polar bear: bear
    (0x1F1E7, 0x1F1FB): (0x1F1F3, 0x1F1F4),  # flag of Bouvet Island: of Norway
}


def base_of(points: Points) -> Points:
    """Code points of the base of an emoji; a base is its own base.

    Args:
        points: code points of the emoji, with or without presentation selectors.
    """
    kept = tuple(p for p in points if p != PRESENTATION and p not in SKIN_TONES)
    if not any(p != JOINER for p in kept):
        return tuple(p for p in points if p != PRESENTATION)
    parts = [_NEUTRAL.get(p, p) for p in kept if p != JOINER]
    if len(parts) > 1:
        parts = [p for p in parts if p not in _MODIFIERS] or parts
    people = [p for p in parts if p in (_PERSON, _CHILD)]
    if len(people) > 1 and len(people) == len(parts):
        return (_FAMILY,)
    if people:
        for part, activity in _SHARED_ACTIVITIES.items():
            if part in parts:
                return activity
    # A modifier that is an emoji by itself (a red-hair swatch) has no other part to belong to.
    return _TWINS.get(tuple(parts), tuple(parts))


def num_modifiers(points: Points) -> int:
    """How many parts of an emoji make it a variant: skin tones, gender, hair, direction."""
    gendered = sum(p in (0x1F468, 0x1F469) for p in points)
    return gendered + sum(p in SKIN_TONES or p in _MODIFIERS for p in points)
