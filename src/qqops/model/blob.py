"""Content that lies in the data folder, referred to by what it is."""

from __future__ import annotations

import mimetypes

import attrs

#: How the content of some kinds begins. WebP has its name at 8.
_BEGINNINGS = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"BM", "image/bmp"),
)


@attrs.frozen
class Blob:
    """A reference to content that is kept once, however often it is sent.

    Attributes:
        sha256: Digest of the content, in hex.
        size: Bytes.
        media_type: As in ``image/png``; "" where nobody knows.
        name: What the file is called; "" for nothing.
    """

    sha256: str
    size: int
    media_type: str = ""
    name: str = ""


def media_type_of(content: bytes, name: str = "") -> str:
    """Return the media type of *content* by how it begins, else by the end of *name*; "" for neither."""
    for beginning, kind in _BEGINNINGS:
        if content.startswith(beginning):
            return kind
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    return mimetypes.guess_type(name)[0] or ""
