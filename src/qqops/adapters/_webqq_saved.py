"""A login on the disk, so that a restart needs no person: one private file per account, replaced as a whole."""

from __future__ import annotations

import json
import os
import pathlib
import random
import re
import tempfile
from typing import Any

import structlog
import trio

from qqops.model import AccountRef
from qqops.protocol.webqq.http import Cookies
from qqops.protocol.webqq.profile import Profile
from qqops.protocol.webqq.session import Session

log = structlog.get_logger("qqops.webqq")

#: Layout of the file; another one is not read, which costs one login.
LAYOUT = 1
#: Largest file that is read, in bytes.
LARGEST = 256 * 1024
#: Message ids that a session may have used between two saves (webqq.md §11: none is used twice).
ID_GAP = 100_000

_FIELDS = ("number", "clientid", "psessionid", "vfwebqq", "ptwebqq", "nick", "status", "hash_variant")


class SavedSession:
    """Where the login of one account is kept.

    Args:
        folder: Folder of the bot's files, or None to keep nothing.
    """

    def __init__(self, account: AccountRef, folder: pathlib.Path | None) -> None:
        name = re.sub(r"[^\w.-]", "_", account.id)
        self._account = account
        self._path = folder / f"webqq-{name}.session.json" if folder is not None else None
        self._warned = False
        self._cookies: Cookies | None = None

    @property
    def kept(self) -> bool:
        """Whether the login outlives the process; if not, the bot logs out when it stops."""
        return self._path is not None

    def load(self, profile: Profile, number: int, rng: random.Random) -> Session | None:
        """Return the saved session if it is one of this profile and number; anything else counts as none."""
        if self._path is None:
            return None
        try:
            with self._path.open("rb") as file:
                data = json.loads(file.read(LARGEST))
            session = _session(data, profile, number, rng)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as exc:
            reason = f"{type(exc).__name__} in {self._path}"
            log.warning("the saved login cannot be used", account=str(self._account), reason=reason)
            return None
        self._cookies = session.cookies if session is not None else None
        return session

    def cookies(self, fresh: Session) -> Session | None:
        """Return a fresh session with the cookies of the last login, or None when there are none.

        They are kept in memory when the session they belong to is forgotten: a QR login may be repeated with them
        for a day or two (webqq.md §5.2).
        """
        if self._cookies is None:
            return None
        quick = Session(
            profile=fresh.profile, rng=fresh.rng, number=fresh.number, hold=fresh.hold, status=fresh.status
        )
        quick.cookies, self._cookies = self._cookies, None
        return quick

    async def save(self, session: Session) -> None:
        """Write *session*. A file that cannot be written is reported once; the bot goes on without."""
        self._cookies = session.cookies
        if self._path is None:
            return
        text = json.dumps(_values(session))
        try:
            await trio.to_thread.run_sync(_replace, self._path, text)
            self._warned = False
        except OSError as exc:
            if not self._warned:
                self._warned = True
                reason = f"{exc.strerror or exc}: {self._path}"
                log.warning(
                    "the login cannot be saved: a restart will need a new one",
                    account=str(self._account),
                    reason=reason,
                )

    def forget(self) -> None:
        """Delete the file: the service does not know this login any more."""
        if self._path is not None:
            try:
                self._path.unlink(missing_ok=True)
            except OSError as exc:
                log.info("a saved login stays", account=str(self._account), reason=str(exc))


def _values(session: Session) -> dict[str, Any]:
    values = {name: getattr(session, name) for name in _FIELDS}
    cookies = [[domain, name, value] for (domain, name), value in session.cookies.items()]
    return {
        "layout": LAYOUT, "profile": session.profile.name, **values, "next_message": session.next_message,
        "cookies": cookies,
    }  # fmt: skip


def _session(data: Any, profile: Profile, number: int, rng: random.Random) -> Session | None:
    if data["layout"] != LAYOUT or data["profile"] != profile.name:
        return None
    if number and data["number"] != number:
        return None
    for name in _FIELDS:
        if not isinstance(data[name], int if name == "number" else str):
            raise TypeError(name)
    if data["hash_variant"] not in profile.hashes or not data["psessionid"]:
        return None
    cookies = Cookies({(str(domain), str(name)): str(value) for domain, name, value in data["cookies"]})
    session = Session(profile=profile, rng=rng, cookies=cookies)
    for name in _FIELDS:
        setattr(session, name, data[name])
    session.next_message = int(data["next_message"]) + ID_GAP
    return session


def _replace(path: pathlib.Path, text: str) -> None:
    """Write *text* beside *path* and put it in its place; a crash leaves the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # mkstemp makes the file with mode 0600, whatever the umask.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        pathlib.Path(name).unlink(missing_ok=True)
        raise
