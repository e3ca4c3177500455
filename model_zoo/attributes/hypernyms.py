"""Which of WordNet's nouns make an attribute: every ImageNet class below one of them, less those below others."""

from typing import NamedTuple


class Below(NamedTuple):
    """Nouns as synset and word, as in "n01503061 bird"; the word is checked when the table is built."""

    under: tuple[str, ...]
    less: tuple[str, ...] = ()


HYPERNYMS: dict[str, Below] = {
    # What animals are covered with, and what they have
    "fur": Below(
        ("n01861778 mammal",),
        (
            "n02062017 aquatic_mammal",
            "n02395003 swine",
            "n02503517 elephant",
            "n01871265 tusker",
            "n02398521 hippopotamus",
            "n02453611 edentate",
            "n01872401 echidna",
            "n02113978 Mexican_hairless",
        ),
    ),
    "feathers": Below(("n01503061 bird",)),
    "scales": Below(("n01661091 reptile", "n02514825 bony_fish"), ("n01662784 turtle",)),
    "fins": Below(("n02512053 fish", "n02062744 whale")),
    "horns": Below(("n02401031 bovid",)),
    "hooves": Below(("n02370806 ungulate",), ("n02398521 hippopotamus",)),
    "pincers": Below(("n01976146 decapod_crustacean", "n01770393 scorpion")),
    "shell": Below(("n01662784 turtle", "n01940736 mollusk"), ("n01945685 slug", "n01950731 sea_slug")),
    # Animals
    "dog": Below(("n02084071 dog",)),
    "wolf or fox": Below(("n02114100 wolf", "n02118333 fox", "n02115335 wild_dog")),
    "cat": Below(("n02121620 cat",)),
    "big cat": Below(("n02127808 big_cat", "n02130308 cheetah")),
    "bear": Below(("n02131653 bear",)),
    "monkey": Below(("n02484322 monkey",)),
    "ape": Below(("n02470325 ape",)),
    "rodent or rabbit": Below(("n02329401 rodent", "n02323902 leporid")),
    "marsupial": Below(("n01874434 marsupial",)),
    "weasel family": Below(("n02441326 musteline_mammal",)),
    "wading bird": Below(("n02000954 wading_bird",)),
    "waterfowl": Below(("n01845132 waterfowl", "n01858441 swan")),
    "songbird": Below(("n01524359 passerine",)),
    "bird of prey": Below(("n01604330 bird_of_prey",)),
    "parrot": Below(("n01816887 parrot",)),
    "poultry or game bird": Below(("n01789386 gallinaceous_bird",)),
    "fish": Below(("n02512053 fish",)),
    "snake": Below(("n01726692 snake",)),
    "lizard": Below(("n01674464 lizard",)),
    "turtle": Below(("n01662784 turtle",)),
    "frog or salamander": Below(("n01627424 amphibian",)),
    "insect": Below(("n02159955 insect",)),
    "butterfly": Below(("n02274259 butterfly",)),
    "beetle": Below(("n02164464 beetle",)),
    "spider": Below(("n01772222 spider",)),
    # Plants and food
    "fruit": Below(("n07705931 edible_fruit", "n13134947 fruit")),
    "vegetable": Below(("n07707451 vegetable",)),
    "mushroom": Below(("n12992868 fungus",)),
    "bread": Below(("n07679356 bread",)),
    "dish of food": Below(("n07557434 dish",)),
    "dessert": Below(("n07609840 dessert",)),
    # What is built
    "building": Below(("n02913152 building", "n03259505 dwelling", "n03953416 place_of_worship", "n02980441 castle")),
    "roof": Below(("n04105068 roof",)),
    "bridge": Below(("n02898711 bridge",)),
    "fence or gate": Below(("n02796623 barrier",), ("n03160309 dam",)),
    "shop": Below(("n04202417 shop",)),
    "landscape": Below(("n09287968 geological_formation",)),
    # What goes
    "wheels": Below(("n04576211 wheeled_vehicle", "n04574999 wheel"), ("n03599486 jinrikisha",)),
    "car": Below(("n02958343 car",)),
    "truck": Below(("n04490091 truck",)),
    "ship or boat": Below(("n04530566 vessel",)),
    "aircraft": Below(("n02686568 aircraft",)),
    "tracks or armour": Below(("n04464852 tracked_vehicle", "n02739668 armor")),
    # What is held, worn and used
    "hand tool": Below(("n03489162 hand_tool", "n04451818 tool"), ("n03649909 lawn_mower",)),
    "blade": Below(("n03265032 edge_tool", "n04141327 scabbard", "n03649909 lawn_mower", "n03271574 electric_fan")),
    "kitchen utensil": Below(("n03621049 kitchen_utensil", "n04381994 tableware")),
    "weapon": Below(("n04565375 weapon",)),
    "fastener": Below(("n03323703 fastener",)),
    "bottle": Below(("n02876657 bottle",)),
    "box": Below(("n02883344 box",)),
    "bag": Below(("n02773037 bag",)),
    "ball": Below(("n02778669 ball",)),
    "dial or measure": Below(("n03733925 measuring_instrument",)),
    "electronics": Below(("n03278248 electronic_equipment",)),
    "household appliance": Below(("n03528263 home_appliance",)),
    "computer": Below(("n03082979 computer",), ("n04238763 slide_rule",)),
    "furniture": Below(("n03405725 furniture",)),
    "seat": Below(("n04161981 seat",)),
    "cloth": Below(("n03309808 fabric", "n02851099 blind")),
    "clothing": Below(("n03051540 clothing",)),
    "hat": Below(("n03502509 headdress",)),
    "shoe": Below(("n03380867 footwear",), ("n03026506 Christmas_stocking",)),
    "strings": Below(("n04338517 stringed_instrument",)),
    "drum": Below(("n03915437 percussion_instrument",), ("n04515003 upright", "n03452741 grand_piano")),
    "wind instrument": Below(("n04586932 wind_instrument",)),
    "lamp or flame": Below(("n04263760 source_of_illumination",)),
    "drink": Below(("n07881800 beverage",)),
}
