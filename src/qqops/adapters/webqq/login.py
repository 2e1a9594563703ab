"""Logging in as this run can: by the cookies of the last time where the service takes them, else as for the first time."""

from __future__ import annotations

import structlog

from qqops.adapters.webqq.calls import Calls
from qqops.adapters.webqq.saved import SavedSession
from qqops.errors import ProtocolError, TransientError
from qqops.model import Secret
from qqops.protocol.webqq.classify import SessionGone
from qqops.protocol.webqq.login import login, quick_login
from qqops.protocol.webqq.session import Session

log = structlog.get_logger("qqops.webqq")


async def log_in(
    session: Session, calls: Calls, saved: SavedSession, password: Secret, within: float
) -> None:
    """Fill *session*, a fresh one, with a login.

    Args:
        within: Seconds until the next proof of life that each answer is worth.

    Raises:
        AdapterError: It did not work; the type says what follows.
        ProtocolError: An answer of the service makes no sense.
    """
    if await _quick(session, calls, saved, within):
        return
    try:
        await calls.drive(session, login(session, password.reveal()), within)
    finally:
        saved.cipher, saved.cipher_spent = session.cipher_found, session.cipher_spent


async def _quick(session: Session, calls: Calls, saved: SavedSession, within: float) -> bool:
    """Log in with the cookies of the last QR login; False when a person is needed.

    They are kept until the service itself says no: what breaks on the way is tried again by the supervisor.

    Raises:
        TransientError: Not now.
    """
    quick = saved.cookies(session)
    if quick is None:
        return False
    before = quick.cookies.version
    trouble: TransientError | None = None
    done = False
    try:
        done = await calls.drive(quick, quick_login(quick), within)
    except SessionGone as exc:
        trouble = exc
    except (TransientError, ProtocolError) as exc:
        trouble = TransientError(f"the quick login failed: {exc}")
        trouble.__cause__ = exc
    if done:
        session.take_login(quick)
        return True
    if trouble is not None and not (isinstance(trouble, SessionGone) and saved.refused()):
        if quick.cookies.version != before:
            await saved.keep_cookies()
        raise trouble
    log.info("no quick login", account=saved.account_name, reason=str(trouble or "the service says no"))
    await saved.drop_cookies()
    return False
