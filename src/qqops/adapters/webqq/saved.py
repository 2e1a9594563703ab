"""A login on the disk, so that a restart needs no person: one private file per account, replaced as a whole.

The session and the cookies in it end at different times. When the session is gone its fields are emptied and the
cookies stay: they can log in again without a person (webqq.md §5.2), and only the service says when that is over.
"""

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

from qqops.errors import ProtocolError
from qqops.model import AccountRef
from qqops.protocol.webqq.http import Cookies
from qqops.protocol.webqq.profile import STATUSES, Login, Profile
from qqops.protocol.webqq.session import Session
from qqops.protocol.webqq.wire import printable, token

log = structlog.get_logger("qqops.webqq")

#: Layout of the file; another one is not read, which costs one login.
LAYOUT = 1
#: Largest file that is read, in bytes.
MAX_FILE = 256 * 1024
#: Message ids that a session may have used between two saves (webqq.md §11: none is used twice).
ID_GAP = 100_000

#: Quick logins in a row that the service let begin and not end before a person is asked.
QUICK_TRIES = 3

_FIELDS = ("number", "clientid", "psessionid", "vfwebqq", "ptwebqq", "nick", "status", "hash_variant")
#: A psessionid has 150 to 200 characters (webqq.md §2), and none after the session was ended.
_PATTERNS = {"clientid": r"\d{1,20}", "psessionid": r"[!-~]{0,1000}", "vfwebqq": r"[!-~]{0,1000}"}


class SavedSession:
    """Where the login of one account is kept.

    Args:
        folder: Folder of the bot's files, or None to keep nothing.
        status: What others see the account as, by the settings.

    Attributes:
        status: What others are to see the account as: by the settings, or as somebody has said since.
        cipher: Which of the password's ciphers the service took last, or "".
        cipher_spent: Whether the other cipher was tried in vain in this run; it is not tried again.
    """

    def __init__(self, account: AccountRef, folder: pathlib.Path | None, status: str = "online") -> None:
        name = re.sub(r"[^\w.-]", "_", account.id)
        self._account = account
        self._path = folder / f"webqq-{name}.session.json" if folder is not None else None
        self._warned = False
        self._cookies: Cookies | None = None
        self._values: dict[str, Any] | None = None
        self._refused = 0
        self._by_settings = status
        self.status = status
        self.cipher = ""
        self.cipher_spent = False

    @property
    def account_name(self) -> str:
        """Whose login it is, for the log."""
        return str(self._account)

    @property
    def kept(self) -> bool:
        """Whether the login outlives the process; if not, the bot logs out when it stops."""
        return self._path is not None

    def load(self, profile: Profile, number: int, rng: random.Random) -> Session | None:
        """Return the saved session if it is one of this profile and number; anything else counts as none.

        What the file holds besides the session is taken over all the same.
        """
        if self._path is None:
            return None
        try:
            with self._path.open("rb") as file:
                data = json.loads(file.read(MAX_FILE))
            session = _session(data, profile, number, rng)
            if session is None:
                return None
            self._take_more(data)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, RecursionError, ProtocolError) as exc:
            reason = f"{type(exc).__name__} in {self._path}"
            log.warning("the saved login cannot be used", account=str(self._account), reason=reason)
            return None
        self._remember(session)
        session.status = self.status
        return session if session.psessionid else None

    def _take_more(self, data: dict[str, Any]) -> None:
        """Take over what files of earlier versions do not have."""
        if data.get("cipher") in ("md5", "tea"):
            self.cipher = data["cipher"]
        # A status that somebody has set holds until the settings are changed.
        if data.get("status_by_settings") == self._by_settings and data["status"] in STATUSES:
            self.status = data["status"]

    def _remember(self, session: Session) -> None:
        self._cookies = session.cookies
        self._values = _values(session)

    def cookies(self, fresh: Session) -> Session | None:
        """Return a fresh session with the cookies of the last QR login, or None when there are none."""
        if self._cookies is None or fresh.profile.login is not Login.QR:
            return None
        quick = Session(
            profile=fresh.profile, rng=fresh.rng, number=fresh.number, hold=fresh.hold, status=fresh.status
        )
        quick.cookies = self._cookies
        return quick

    def refused(self) -> bool:
        """Note that a quick login began and did not end; whether a person is to be asked now."""
        self._refused += 1
        return self._refused >= QUICK_TRIES

    async def drop_cookies(self) -> None:
        """Forget the cookies: the service has said that they do not count any more."""
        self._refused = 0
        self._cookies = None
        await self._write()

    async def keep_cookies(self) -> None:
        """Write down what a quick login that did not end has changed in the cookies."""
        await self._write()

    async def save(self, session: Session) -> None:
        """Write *session*. A file that cannot be written is reported once; the bot goes on without."""
        self._refused = 0
        self._remember(session)
        await self._write()

    async def _write(self) -> None:
        if self._path is None or self._values is None:
            return
        text = self._text(self._values)
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

    def _text(self, values: dict[str, Any]) -> str:
        cookies = self._cookies.items() if self._cookies is not None else ()
        return json.dumps(
            {
                "layout": LAYOUT, **values, "cookies": [[domain, name, value] for (domain, name), value in cookies],
                "status": self.status, "status_by_settings": self._by_settings, "cipher": self.cipher,
            }
        )  # fmt: skip

    def forget(self) -> None:
        """Empty the session on the disk: the service does not know it any more."""
        if self._values is None:
            return
        self._values |= {"psessionid": "", "vfwebqq": ""}
        if self._path is None:
            return
        try:
            # Not worth a wait for the disk: should it be lost, the next run learns from the service what is gone.
            _replace(self._path, self._text(self._values), durable=False)
        except OSError as exc:
            log.info("a saved login stays", account=str(self._account), reason=str(exc))


def _values(session: Session) -> dict[str, Any]:
    values = {name: getattr(session, name) for name in _FIELDS}
    return {"profile": session.profile.name, **values, "next_message": session.next_message}


def _session(data: Any, profile: Profile, number: int, rng: random.Random) -> Session | None:
    if data["layout"] != LAYOUT or data["profile"] != profile.name:
        return None
    if number and data["number"] != number:
        return None
    for name in _FIELDS:
        if not isinstance(data[name], int if name == "number" else str):
            raise TypeError(name)
    if data["hash_variant"] not in profile.hashes:
        return None
    # What the service has said was checked when it came; a file may have been written by anybody since.
    token(data["ptwebqq"], "ptwebqq")
    for name, pattern in _PATTERNS.items():
        if not re.fullmatch(pattern, data[name], re.ASCII):
            raise ValueError(name)
    next_message = data["next_message"]
    if type(next_message) is not int or not 0 <= next_message < 2**63:
        raise ValueError("next_message")
    cookies = Cookies()
    for domain, name, value in data["cookies"]:
        cookies.take(str(domain), [("Set-Cookie", f"{name}={value}")])
    session = Session(profile=profile, rng=rng, cookies=cookies)
    for name in _FIELDS:
        setattr(session, name, data[name])
    session.nick = printable(data["nick"])
    session.next_message = next_message + ID_GAP
    return session


def _replace(path: pathlib.Path, text: str, durable: bool = True) -> None:
    """Write *text* beside *path* and put it in its place; a crash leaves the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # mkstemp makes the file with mode 0600, whatever the umask.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        pathlib.Path(name).unlink(missing_ok=True)
        raise
