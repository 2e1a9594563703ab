"""Words that stand for somebody or something in the chat: people, rooms, pictures, files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qqops.model import At, File, Image, PersonRef, Room, User
from qqops.plugin._converter import BadWord, Converter, short
from qqops.protocol.words import Word
from qqops.runtime.context import Context
from qqops.texts import Say

#: People or rooms that are named when a name is not clear.
_LISTED = 5
#: Longest number of a person, in digits.
_MAX_ID = 20


def _bad(key: str, word: Word, **more: str) -> BadWord:
    return BadWord(Say(f"refuse.{key}", {"word": short(word.text), **more}))


def _listed(ids: Sequence[str]) -> str:
    return ", ".join(ids[:_LISTED]) + (", …" if len(ids) > _LISTED else "")


def _user(word: Word, ctx: Context) -> User:
    """Return who is meant: by a mention, by number, or by a name that only one in the room has.

    A number is never looked for among the names: anybody can take another's number as a name.
    """
    if isinstance(word.piece, At):
        return User(ref=word.piece.person, name=word.piece.name or word.piece.person.id)
    if word.piece is not None:
        raise _bad("bad_user", word)
    name = word.text.removeprefix("@").removeprefix("＠").strip()
    people = ctx.people()
    for person in people:
        if person.id == name:
            return person
    if name.isascii() and name.isdigit() and len(name) <= _MAX_ID:
        return User(ref=PersonRef(ctx.account, name), name=name)
    called = list({p.ref: p for p in people if p.name.casefold() == name.casefold()}.values())
    if len(called) > 1:
        raise _bad("many_users", word, ids=_listed([p.id for p in called]))
    if not called:
        raise _bad("bad_user", word)
    return called[0]


def _room(word: Word, ctx: Context) -> Room:
    """Return the room that is meant, among those of the account first."""
    rooms = ctx.rooms()
    own = [r for r in rooms if r.ref.account == ctx.account and word.text in (r.id, r.name)]
    found = own or [r for r in rooms if word.text in (r.id, r.name, str(r.ref))]
    exact = [r for r in found if word.text in (r.id, str(r.ref))] or found
    if len(exact) > 1:
        raise _bad("many_rooms", word, ids=_listed([str(r.ref) for r in exact]))
    if not exact:
        raise _bad("bad_room", word)
    return exact[0]


def _piece(kind: type[Any], key: str) -> Converter:
    def convert(word: Word, ctx: Context) -> Any:
        if not isinstance(word.piece, kind):
            raise _bad(key, word)
        return word.piece

    return Converter(str, label=kind.__name__.lower(), in_context=convert)


USER = Converter(str, in_context=_user)
ROOM = Converter(str, in_context=_room)
IMAGE = _piece(Image, "bad_image")
FILE = _piece(File, "bad_file")
