"""Both languages know the same texts, with the same arguments."""

import string

from qqops.texts import Say, load


def arguments(template):
    return {name for _, name, _, _ in string.Formatter().parse(template) if name}


def test_catalogues_are_twins():
    texts = load().texts
    assert texts["en"].keys() == texts["zh"].keys()
    for key in texts["en"]:
        assert arguments(texts["en"][key]) == arguments(texts["zh"][key]), key


def test_fallbacks_and_extensions():
    catalogue = load().extended("mine", {"en": {"hi": "hi {name}"}})
    assert catalogue.render(Say("mine.hi", {"name": "Bo"}), "zh") == "hi Bo"
    assert catalogue.render(Say("mine.nothing"), "zh") == "mine.nothing"
    assert catalogue.render("as it is") == "as it is"
