"""What a poll brought → events of the model."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

import attrs
import structlog

from qqops.adapters.base import Directory, Link
from qqops.model import (
    AccountRef,
    Clock,
    Event,
    FileOffered,
    FriendAdded,
    FriendRemoved,
    FriendRequest,
    Joined,
    JoinRequest,
    Left,
    Notice,
    PersonRef,
    Poked,
    Presence,
    RequestRef,
    Room,
    RoomKind,
    RoomRef,
    Typing,
    User,
)
from qqops.protocol.webqq import items
from qqops.protocol.webqq.heard import Heard
from qqops.protocol.webqq.roster import NeedMembers, Roster

log = structlog.get_logger("qqops.webqq")


class KnownHere:
    """A directory as one account sees it; see `qqops.protocol.webqq.earlier.Known`."""

    def __init__(self, directory: Directory, account: AccountRef) -> None:
        self._directory = directory
        self._account = account

    def note(self, kind: str, place: str, name: str, number: str) -> None:
        """Note that *number* is called *name*."""
        self._directory.note(self._account, kind, place, name, number)

    def find(self, kind: str, place: str, name: str) -> list[str]:
        """Return the numbers that were called so."""
        return list(self._directory.find(self._account, kind, place, name))


#: What comes often: nothing is looked up for it unless somebody listens.
_FREQUENT: Mapping[type[items.Item], type[Event]] = {items.Seen: Presence, items.Writing: Typing}


class EventTranslator:
    """Passes items on to the dispatcher. Synchronous, so that nothing is lost between two of them."""

    def __init__(self, account: AccountRef, clock: Clock, link: Link, heard: Heard) -> None:
        self._account = account
        self._clock = clock
        self._link = link
        self._heard = heard
        self._reported: set[str] = set()

    def wants(self, item: items.Item) -> bool:
        """Whether *item* may concern somebody."""
        kind = _FREQUENT.get(type(item))
        return kind is None or self._link.wants(kind)

    def item(self, item: items.Item, roster: Roster) -> None:
        """Make an event of *item*, with permanent addresses."""
        if isinstance(item, items.Incoming):
            if not roster.is_own(item) and self._heard.is_new(item, roster):
                message = roster.translate(item, self._clock.now())
                self._link.event(message)
                self._report_ambiguous(roster)
                self._report_unverified(message.room)
        elif isinstance(item, items.Malformed):
            self._link.malformed(item.error)
        elif isinstance(item, items.Ignored):
            log.debug("ignored", account=str(self._account), poll_type=item.poll_type)
        elif isinstance(item, items.FriendsChanged):
            self._friends(item, roster)
        elif (event := self._event(item, roster)) is not None:
            self._link.event(event)

    def _event(self, item: items.Item, roster: Roster) -> Event | None:
        account = self._account
        if not isinstance(item, items.Happening):
            return None  # a kick: `LiveSession` has seen to it
        said = self._said(item)
        if isinstance(item, items.Membership):
            _forget_members(roster)
            by = self._by(item, roster)
            room, sender = self._group(item.group, roster), roster.numbered(item.person)
            return (Joined if item.joined else Left)(room=room, sender=sender, by=by, **said)
        if isinstance(item, items.JoinAsk):
            roster.learn(item.uin, item.person)
            room, sender = self._group(item.group, roster), roster.numbered(item.person)
            request = RequestRef(account, f"join:{item.group}:{item.person}")
            return JoinRequest(room=room, sender=sender, text=item.text, request=request, **said)
        if isinstance(item, items.FriendAsk):
            request = RequestRef(account, f"friend:{item.number}")
            sender = roster.numbered(item.number)
            return FriendRequest(account=account, sender=sender, text=item.text, request=request, **said)
        if isinstance(item, items.FriendAnswer):
            return FriendAdded(account=account, sender=roster.numbered(item.number), text=item.text, **said)
        if isinstance(item, items.Seen):
            return Presence(account=account, sender=roster.sender(item.uin), status=item.status, **said)
        if isinstance(item, items.Writing):
            return Typing(**self._in_private(item.uin, roster), **said)
        if isinstance(item, items.Shaken):
            return Poked(**self._in_private(item.uin, roster), **said)
        if isinstance(item, items.FileAsk):
            if item.url:
                roster.offer(item.url)
            return FileOffered(
                **self._in_private(item.uin, roster),
                name=item.name,
                size=item.size,
                data={"uin": item.uin, "session": item.session, "url": item.url},
                **said,
            )
        if isinstance(item, items.Told):
            return Notice(account=account, kind=item.kind, data=self._facts(item, roster), **said)
        return None

    def _said(self, item: items.Happening, one: int = 0) -> dict[str, Any]:
        """Return what all events have: which, and when.

        Args:
            one: Which of several that the item tells of at once.
        """
        now = self._clock.now()
        at = datetime.datetime.fromtimestamp(item.time, datetime.UTC) if item.time else now
        return {"id": f"{item.id}/{one}" if item.id and one else item.id, "at": at}

    def _by(self, item: items.Membership, roster: Roster) -> User | None:
        """Return whose doing it was; None when it was the person's own. An administrator may be all but unknown."""
        if item.by:
            user = roster.numbered(item.by)
            return attrs.evolve(user, name=item.by_name) if item.by_name else user
        if not item.forced:
            return None
        if not item.by_uin:
            name = item.by_name or "?"
            return User(ref=PersonRef(self._account, f"name:{name}"), name=name, verified=False)
        user = roster.sender(item.by_uin)
        return attrs.evolve(user, name=item.by_name) if user.name == "?" and item.by_name else user

    def _facts(self, item: items.Told, roster: Roster) -> dict[str, object]:
        """Return the data of a notice, with people and rooms by their permanent ids."""
        facts = dict(item.data)
        if item.sender:
            facts["sender"] = roster.user(item.sender, "group", item.room).id
        if item.room or item.group:
            group = self._group(item.group, roster) if item.group else roster.group_room(item.room)
            facts["room"] = group.id
        if item.by:
            facts["by"] = str(item.by)
        return facts

    def _friends(self, item: items.FriendsChanged, roster: Roster) -> None:
        if item.left_out and "buddylist_change" not in self._reported:
            self._reported.add("buddylist_change")
            log.warning(
                "a list was too long and was cut",
                account=str(self._account), list="buddylist_change", left_out=item.left_out,
            )  # fmt: skip
        for uin in item.added:
            self._link.event(
                FriendAdded(account=self._account, sender=roster.sender(uin), **self._said(item, uin))
            )
        for uin in item.removed:
            self._link.event(
                FriendRemoved(account=self._account, sender=roster.sender(uin), **self._said(item, uin))
            )
            roster.friends.pop(uin, None)

    def _in_private(self, uin: int, roster: Roster) -> dict[str, Any]:
        sender = roster.sender(uin)
        return {"room": roster.private_room(sender), "sender": sender}

    def _group(self, number: int, roster: Roster) -> Room:
        ref = RoomRef(self._account, RoomKind.GROUP, str(number))
        named = next((room.name for room in roster.rooms() if room.ref == ref), str(number))
        return Room(ref=ref, name=named)  # verified: the service itself has said the number

    def _report_ambiguous(self, roster: Roster) -> None:
        for name, numbers in roster.earlier.ambiguous.items():
            if name not in self._reported:
                self._reported.add(name)
                log.warning(
                    "a name that several numbers were seen with: nobody is taken for the other",
                    account=str(self._account), name=name, numbers=list(numbers),
                )  # fmt: skip
        roster.earlier.ambiguous.clear()

    def _report_unverified(self, room: Room) -> None:
        key = f"room {room.id}"
        if not room.verified and not room.private and key not in self._reported:
            self._reported.add(key)
            log.warning(
                "a group is known by its name only: another one could take that name, so it proves nothing",
                account=str(self._account), room=room.id, name=room.name,
            )  # fmt: skip


def _forget_members(roster: Roster) -> None:
    """Somebody came or went: names are fetched anew when they are needed."""
    for key in [key for key in roster.members if key[0] == "group"]:
        del roster.members[key]
    roster.asked -= {need for need in roster.asked if isinstance(need, NeedMembers)}
