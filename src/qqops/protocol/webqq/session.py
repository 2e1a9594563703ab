"""The values of one login, and the calls that need them.

A `Session` has one owner, the adapter's `serve`. None of its aliases (uin, gid, gcode) leave this package
and the adapter; what goes further is made by `roster`.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping

import attrs

from qqops.protocol.webqq.hashes import FRIENDS_HASHES
from qqops.protocol.webqq.http import Cookies, Request, get, post
from qqops.protocol.webqq.profile import Profile


@attrs.define(kw_only=True)
class Session:
    """What one login has given us.

    Attributes:
        number: Own QQ number; 0 until the QR login has told it.
        nick: What we are called.
        status: What others see us as, one of `STATUSES`.
        hash_variant: Letter of the friends hash that was accepted last.
        cipher: How the password is sent: ``md5``, ``tea``, or ``auto``, which goes by what `check` answers.
        cipher_found: With ``auto``, which cipher to try first where the service does not tell.
        cipher_spent: Whether the other cipher was tried in vain.
        qr_interval: Seconds between two looks at the QR code; clients used 1–3 (§12.3).
        hold: Seconds the service holds a poll.
        empty_polls: Instant answers without content in a row (webqq.md §12.1, code 0).
        cut: How many rows were left out of which list, because it was longer than any real one.
        next_message: Last id that was used for an outgoing message.
    """

    profile: Profile
    rng: random.Random
    number: int = 0
    cookies: Cookies = attrs.field(factory=Cookies)
    clientid: str = ""
    psessionid: str = ""
    vfwebqq: str = ""
    ptwebqq: str = ""
    nick: str = ""
    status: str = "online"
    hash_variant: str = ""
    empty_polls: int = 0
    cipher: str = "auto"
    cipher_found: str = ""
    cipher_spent: bool = False
    qr_interval: float = 2.0
    hold: float = 60.0
    cut: dict[str, int] = attrs.field(factory=dict)
    next_message: int = 0

    def __attrs_post_init__(self) -> None:
        self.clientid = self.profile.clientid or str(self.rng.randrange(10_000_000, 100_000_000))
        self.hash_variant = self.profile.hashes[0]
        # Clients start somewhere and count up; an id is never used twice in a session (§11).
        self.next_message = self.rng.randrange(1000, 10_000) * 10_000

    def noise(self) -> str:
        """Return a cache breaker as the clients send it; the service ignores it."""
        return str(self.rng.randrange(10**12, 10**13))

    def message_id(self) -> int:
        """Return the next id for an outgoing message."""
        self.next_message += 1
        return self.next_message

    @property
    def friends_hash(self) -> str:
        """The hash that the friend and group lists want (§8)."""
        return FRIENDS_HASHES[self.hash_variant](self.number, self.ptwebqq)

    def next_hash(self) -> bool:
        """Go on to the next variant; False when all have been tried."""
        variants = self.profile.hashes
        index = variants.index(self.hash_variant) + 1
        self.hash_variant = variants[index % len(variants)]
        return index < len(variants)

    def renew_ptwebqq(self, value: str) -> None:
        """Take over a new ptwebqq: variable *and* cookie (§12.1, code 116)."""
        self.ptwebqq = value
        self.cookies.put("qq.com", "ptwebqq", value)

    def take_login(self, other: Session) -> None:
        """Take over the login of *other*, which was made by another way."""
        for name in ("number", "cookies", "psessionid", "vfwebqq", "ptwebqq", "nick"):
            setattr(self, name, getattr(other, name))

    # -- calls ----------------------------------------------------------------------------------

    def channel_post(self, name: str, r: Mapping[str, object], **more: object) -> Request:
        """Return a POST to the channel host; *r* travels as JSON in the field ``r`` (§3)."""
        form: dict[str, object] = {"r": json.dumps(r, ensure_ascii=False, separators=(",", ":"))}
        if self.profile.repeats_ids:
            form |= {"clientid": self.clientid, "psessionid": self.psessionid or "null"}
        host = self.profile.channel
        call = more.pop("call", name)
        return post(
            str(call),
            f"{self.profile.scheme}://{host}/channel/{name}",
            form,
            referer=self.profile.referers[host],
            **more,
        )

    def channel_get(self, name: str, query: Mapping[str, object], **more: object) -> Request:
        """Return a GET to the channel host, with clientid and psessionid."""
        host = self.profile.channel
        query = {**query, "clientid": self.clientid, "psessionid": self.psessionid, "t": self.noise()}
        return get(
            name,
            f"{self.profile.scheme}://{host}/channel/{name}",
            query,
            referer=self.profile.referers[host],
            **more,
        )

    def list_post(self, name: str, r: Mapping[str, object]) -> Request:
        """Return a POST to the list host."""
        form = {"r": json.dumps({**r, "vfwebqq": self.vfwebqq}, separators=(",", ":"))}
        host = "s.web2.qq.com"
        return post(
            name, f"{self.profile.scheme}://{host}/api/{name}", form, referer=self.profile.referers[host]
        )

    def list_get(self, name: str, query: Mapping[str, object]) -> Request:
        """Return a GET to the list host."""
        host = "s.web2.qq.com"
        query = {**query, "vfwebqq": self.vfwebqq, "t": self.noise()}
        return get(
            name, f"{self.profile.scheme}://{host}/api/{name}", query, referer=self.profile.referers[host]
        )

    @property
    def id_fields(self) -> dict[str, object]:
        """clientid and psessionid as the generation writes them in JSON: text, or a number for SmartQQ."""
        clientid: object = int(self.clientid) if self.profile.clientid else self.clientid
        return {"clientid": clientid, "psessionid": self.psessionid}
