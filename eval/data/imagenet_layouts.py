"""Facts about ImageNet and the sets made to its classes: who is which class.

ImageNet's 1,000 classes are numbered in the order of their WordNet ids, as timm lists them; their
names are those of open_clip. Sets with some of the classes keep that order.
"""

from collections import Counter
from collections.abc import Sequence
from functools import cache

from open_clip.zero_shot_metadata import IMAGENET_CLASSNAMES, OPENAI_IMAGENET_TEMPLATES
from timm.data.imagenet_info import ImageNetInfo

NUM_CLASSES = 1000
CLASS_NAMES = tuple(IMAGENET_CLASSNAMES)

#: The 80 prompts that are published with ImageNet and with every set made to its classes.
TEMPLATES = tuple(template("{c}") for template in OPENAI_IMAGENET_TEMPLATES)

#: Pixels of red frame around each ObjectNet picture, a mark against training on it; to be cut off
#: before use (objectnet.dev, terms and instructions of the download).
OBJECTNET_BORDER = 2

# The 113 ObjectNet folders with classes of ImageNet, and the numbers of those classes (Barbu et
# al. 2019; folder_to_objectnet_label.json and objectnet_to_imagenet_1k.json of the download).
_OBJECTNET = """
alarm_clock: 409 530, backpack: 414, banana: 954, band_aid: 419, basket: 790,
beer_bottle: 440, bench: 703, bicycle: 444 671, binder_closed: 446, bottle_cap: 455,
bread_loaf: 930, broom: 462, bucket: 463, butchers_knife: 499, can_opener: 473, candle: 470,
cellphone: 487, chair: 423 559 765, clothes_hamper: 588, coffee_french_press: 550,
combination_lock: 507, computer_mouse: 673, desk_lamp: 846, doormat: 539, dress: 578,
dress_shoe_men: 630, drill: 740, drinking_cup: 968, drying_rack_for_dishes: 729,
envelope: 549, fan: 545, frying_pan: 567, full_sized_towel: 434, hair_dryer: 589,
hammer: 587, hand_towel_or_rag: 533, helmet: 518 560, iron_for_clothes: 606, jeans: 608,
keyboard: 508, ladle: 618, lampshade: 619, laptop_open: 620, lemon: 951, letter_opener: 623,
lighter: 626, lipstick: 629, match: 644, measuring_cup: 647, microwave: 651,
mixing_salad_bowl: 659, monitor: 664, mug: 504, nail_fastener: 677, necklace: 679,
orange: 950, padlock: 695, paintbrush: 696, paper_towel: 700, pen: 418 563 749,
pill_bottle: 720, pillow: 721, pitcher: 725, plastic_bag: 728, plate: 923, plunger: 731,
pop_can: 737, portable_heater: 811, printer: 742, remote_control: 761, ruler: 769,
running_shoe: 770, safety_pin: 772, salt_shaker: 773, sandal: 774, screw: 783, shovel: 792,
skirt: 601 655 689, sleeping_bag: 797, soap_dispenser: 804, sock: 806, soup_bowl: 809,
spatula: 813, speaker: 632, still_camera: 732 759, strainer: 828, stuffed_animal: 850,
suit_jacket: 834, sunglasses: 837, sweater: 841, swimming_trunks: 842, t-shirt: 610,
teapot: 849, tennis_racket: 752, tie: 457 906, toaster: 859, toilet_paper_roll: 999,
trash_bin: 412, tray: 868, tv: 851, umbrella: 879, vacuum_cleaner: 882, vase: 883,
wallet: 893, watch: 531, water_bottle: 898, weight_exercise: 543, weight_scale: 778,
wheel: 479 694, whistle: 902, wine_bottle: 907, winter_glove: 658, wok: 909
"""

# Names in CLIP_benchmark's folder that are not simply the folder name with spaces.
_OBJECTNET_NAMES = {
    "binder_closed": "binder (closed)",
    "butchers_knife": "butcher's knife",
    "coffee_french_press": "coffee/french press",
    "dress_shoe_men": "dress shoe (men)",
    "drying_rack_for_dishes": "drying rack for plates",
    "full_sized_towel": "bath towel",
    "hand_towel_or_rag": "dishrag or hand towel",
    "iron_for_clothes": "iron (for clothes)",
    "laptop_open": "laptop (open)",
    "mixing_salad_bowl": "mixing / salad bowl",
    "nail_fastener": "nail (fastener)",
    "weight_exercise": "weight (exercise)",
}


@cache
def class_of_wordnet_id() -> dict[str, int]:
    """Number of the class of each of the 1,000 WordNet ids ("n01440764")."""
    return {name: number for number, name in enumerate(ImageNetInfo().label_names())}


@cache
def objectnet_folders() -> dict[str, str]:
    """Name of the class of each of the 113 folders, in the order of CLIP_benchmark's labels."""
    return {
        folder: _OBJECTNET_NAMES.get(folder, folder.replace("_", " ")) for folder in _objectnet()
    }


def imagenet_classes(names: Sequence[str]) -> tuple[tuple[int, ...], ...] | None:
    """The ImageNet classes that each class of another set stands for, by its name.

    Two names occur twice in ImageNet ("missile", "sunglasses"): the first of a list is the first
    of ImageNet's. ObjectNet's names, as CLIP_benchmark writes them, stand for one to three each.

    Returns:
        Numbers of classes for each name; None where the names are of neither set.
    """
    exact = _by_name(names)
    if exact is not None:
        return exact
    objectnet = dict(zip(objectnet_folders().values(), _objectnet().values(), strict=True))
    if all(name in objectnet for name in names):
        return tuple(objectnet[name] for name in names)
    return None


def _by_name(names: Sequence[str]) -> tuple[tuple[int, ...], ...] | None:
    numbers: dict[str, list[int]] = {}
    for number, name in enumerate(CLASS_NAMES):
        numbers.setdefault(name, []).append(number)
    seen: Counter[str] = Counter()
    found: list[tuple[int, ...]] = []
    for name in names:
        if seen[name] >= len(numbers.get(name, ())):
            return None
        found.append((numbers[name][seen[name]],))
        seen[name] += 1
    return tuple(found)


@cache
def _objectnet() -> dict[str, tuple[int, ...]]:
    entries = (entry.split(":") for entry in _OBJECTNET.replace("\n", " ").split(","))
    return {
        folder.strip(): tuple(int(number) for number in numbers.split())
        for folder, numbers in entries
    }


def names_of_wordnet_ids(names: tuple[str, ...]) -> tuple[str, ...]:
    """The names of ImageNet's classes where all of ``names`` are their WordNet ids, else these."""
    known = class_of_wordnet_id() if names and names[0][:1] == "n" else {}
    if not all(name in known for name in names):
        return names
    return tuple(CLASS_NAMES[known[name]] for name in names)
