"""The TLS of outgoing connections."""

from __future__ import annotations

import functools
import ssl


@functools.cache
def tls_context() -> ssl.SSLContext:
    """Return the one TLS context of the process; each costs milliseconds and hundreds of kilobytes."""
    return ssl.create_default_context()
