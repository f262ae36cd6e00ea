"""Words that say something about race, nation or faith when they stand before a person.

A detector's "white" is a shirt; "white man" is a claim about the man. In the stored outputs of
the published method about a quarter of all insertions are "white" or "black" directly before a
person (see ``eval.xmai.upstream.published``). The lists are our own and make no claim to be
complete.
"""

import re
from pathlib import Path

from data_pipelines.text_lines import lines_of
from eval.errors import EvaluationError
from eval.xmai.attributes import GROUPS, SKIN_GROUP, words

PERSON_NOUNS: frozenset[str] = words(
    """person people persons man men woman women boy boys girl girls child children kid kids baby
    babies toddler toddlers infant infants teen teens teenager teenagers adult adults guy guys
    lady ladies gentleman gentlemen male males female females individual individuals human
    humans crowd crowds couple couples family families father fathers mother mothers dad dads
    mom moms mum mums parent parents son sons daughter daughters brother brothers sister sisters
    grandfather grandmother grandparents uncle aunt nephew niece cousin husband wife bride groom
    friend friends player players batter batters pitcher catcher umpire skier skiers snowboarder
    snowboarders surfer surfers skater skaters skateboarder skateboarders rider riders cyclist
    cyclists biker bikers runner runners swimmer swimmers dancer dancers singer singers musician
    musicians guitarist drummer actor actress artist painter worker workers officer officers
    policeman policewoman policemen police cop cops guard guards soldier soldiers firefighter
    firefighters doctor doctors nurse nurses dentist teacher teachers student students pupil
    farmer farmers chef chefs cook cooks baker waiter waitress driver drivers pilot pilots
    sailor astronaut scientist judge mechanic technologist tourist tourists passenger passengers
    pedestrian pedestrians customer customers vendor vendors shopper shoppers audience
    spectators spectator team teams group groups employee employees businessman businesswoman
    king queen prince princess knight wizard witch santa elf mage fairy vampire zombie genie
    merman mermaid superhero supervillain somebody someone anyone everyone member members owner
    wrestler wrestlers boxer boxers golfer climber climbers fisherman hiker hikers camper
    juggler clown monk nun priest youth youths elder elders beard twins"""
)

BODY_PARTS: frozenset[str] = words(
    """hand hands fist fists finger fingers thumb thumbs arm arms leg legs foot feet ear ears nose
    face faces palm palms biceps skin"""
)

#: Plain colours and words of race, which are what a "white man" is read as.
RACE_WORDS: frozenset[str] = words(
    """white black brown yellow red dark light pale tan colored coloured blackish whitish caucasian
    asian african european american latino latina hispanic oriental indian native aboriginal
    indigenous foreign arab arabic jewish jew muslim moslem islamic christian catholic
    protestant hindu buddhist sikh mormon atheist chinese japanese korean vietnamese thai
    filipino mexican cuban brazilian spanish french german italian english british irish
    scottish polish russian ukrainian turkish greek egyptian iranian persian iraqi israeli
    palestinian pakistani afghan nigerian kenyan ethiopian somali australian canadian swedish
    norwegian danish dutch gypsy ethnic racial biracial mixed ebony ivory olive swarthy"""
)

SKIN_PHRASES: frozenset[str] = frozenset(GROUPS[SKIN_GROUP])

#: What ``--blocked`` may name; else it is a file.
PRESETS: dict[str, frozenset[str]] = {
    "people": RACE_WORDS | SKIN_PHRASES,
    "race-words": RACE_WORDS,
    "none": frozenset(),
}

_WORD = re.compile(r"[^\W\d_]+")


def load_blocked(spec: str) -> frozenset[str]:
    """Words that are not put before a person.

    Args:
        spec: "people" (words of race, nation, faith and skin), "race-words" (the same, but phrases
            such as "dark skin tone" are allowed), "none", or a file with one word a line.
    Raises:
        EvaluationError: neither a preset nor a file that can be read.
    """
    if spec in PRESETS:
        return PRESETS[spec]
    try:
        lines = lines_of(Path(spec).read_text("utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise EvaluationError(
            f"no list of blocked words {spec} ({error}); give {', '.join(PRESETS)}, or a file"
        ) from error
    return frozenset(line.strip().lower() for line in lines if line.strip())


def names_person(phrase: str) -> bool:
    """Whether any word of a noun phrase is a person ("woman's hat" counts)."""
    return any(word in PERSON_NOUNS for word in _words_of(phrase))


def has_skin(phrase: str) -> bool:
    """Whether a noun phrase names a person or a part of one."""
    return any(word in PERSON_NOUNS or word in BODY_PARTS for word in _words_of(phrase))


def _words_of(phrase: str) -> list[str]:
    return _WORD.findall(phrase.lower())
