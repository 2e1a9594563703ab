"""What the bot says: a catalogue of keys, rendered late in the language of the room.

A text is a `Say`: key and arguments. It becomes words only where the room, and so the language, is known.
Plugins add catalogues of their own with `Catalogue.extended`.
"""

from __future__ import annotations

import importlib.resources
import tomllib
from collections.abc import Callable, Mapping

import attrs

DEFAULT_LANGUAGE = "en"
LANGUAGES = ("en", "zh")


@attrs.frozen
class Say:
    """A text that is not in words yet."""

    key: str
    args: Mapping[str, object] = attrs.field(factory=dict, hash=False)


@attrs.frozen
class Catalogue:
    """Texts by language and key (``refuse.bad_int``).

    Attributes:
        hide: Takes out of a text what nobody may see: the text of an error stands in some.
    """

    texts: Mapping[str, Mapping[str, str]]
    hide: Callable[[str], str] | None = None

    def render(self, say: Say | str, language: str = DEFAULT_LANGUAGE) -> str:
        """Return *say* in *language*, else in English, else the key itself; a plain string stays as it is."""
        if isinstance(say, str):
            return say
        for lang in (language, DEFAULT_LANGUAGE):
            template = self.texts.get(lang, {}).get(say.key)
            if template is not None:
                text = template.format_map(say.args)
                return text if self.hide is None else self.hide(text)
        return say.key

    def extended(self, prefix: str, more: Mapping[str, Mapping[str, str]]) -> Catalogue:
        """Return a catalogue that also knows *more* (language → key → text), its keys below *prefix*."""
        merged = {lang: dict(table) for lang, table in self.texts.items()}
        for lang, table in more.items():
            merged.setdefault(lang, {}).update({f"{prefix}.{key}": text for key, text in table.items()})
        return attrs.evolve(self, texts=merged)


def load() -> Catalogue:
    """Return the core catalogue, read from the package."""
    folder = importlib.resources.files("qqops.texts")
    return Catalogue(
        {lang: _flat(tomllib.loads((folder / f"{lang}.toml").read_text("utf-8"))) for lang in LANGUAGES}
    )


def _flat(table: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    return {f"{section}.{key}": text for section, keys in table.items() for key, text in keys.items()}
