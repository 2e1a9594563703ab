"""The password cipher of 2015: RSA inside QQ-TEA. Source: webqq.md §7.2, whose vectors it is tested with."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from typing import TypeAlias

from qqops.errors import ProtocolError
from qqops.protocol.webqq.errors import WebQQProtocolError

#: Returns so many random bytes.
Fill: TypeAlias = Callable[[int], bytes]

_DELTA = 0x9E3779B9
_MASK = 0xFFFFFFFF
_MODULUS = int(
    "F20CE00BAE5361F8FA3AE9CEFA495362FF7DA1BA628F64A347F0A8C012BF0B254A30CD92ABFFE7A6EE0DC424CB6166F8819EFA5B"
    "CCB20EDFB4AD02E412CCF579B1CA711D55B8B0B3AEB60153D5E0693A2A86F3167D7847A0CB8B00004716A9095D9BADC977CBB804"
    "DBDCBA6029A9710869A453F27DFDDF83C016D928B3CBF4C7",
    16,
)
_EXPONENT = 3
_RSA_BYTES = 128


def tea_block(block: bytes, key: bytes) -> bytes:
    """Return one block of 8 bytes, encrypted with 16 rounds of TEA."""
    y, z = int.from_bytes(block[:4], "big"), int.from_bytes(block[4:], "big")
    a, b, c, d = (int.from_bytes(key[i : i + 4], "big") for i in (0, 4, 8, 12))
    total = 0
    for _ in range(16):
        total = (total + _DELTA) & _MASK
        y = (y + (((z << 4) + a) ^ (z + total) ^ ((z >> 5) + b))) & _MASK
        z = (z + (((y << 4) + c) ^ (y + total) ^ ((y >> 5) + d))) & _MASK
    return y.to_bytes(4, "big") + z.to_bytes(4, "big")


def _tea_unblock(block: bytes, key: bytes) -> bytes:
    y, z = int.from_bytes(block[:4], "big"), int.from_bytes(block[4:], "big")
    a, b, c, d = (int.from_bytes(key[i : i + 4], "big") for i in (0, 4, 8, 12))
    total = (_DELTA * 16) & _MASK
    for _ in range(16):
        z = (z - (((y << 4) + c) ^ (y + total) ^ ((y >> 5) + d))) & _MASK
        y = (y - (((z << 4) + a) ^ (z + total) ^ ((z >> 5) + b))) & _MASK
        total = (total - _DELTA) & _MASK
    return y.to_bytes(4, "big") + z.to_bytes(4, "big")


def tea_encrypt(data: bytes, key: bytes, fill: Fill) -> bytes:
    """Return *data* in QQ-TEA: padded, closed by seven zero bytes, chained both ways."""
    pad = -(len(data) + 10) % 8
    noise = fill(pad + 3)
    plain = bytes([(noise[0] & 0xF8) | pad]) + noise[1:] + data + bytes(7)
    result = bytearray()
    before_x = before_c = bytes(8)
    for start in range(0, len(plain), 8):
        x = _xor(plain[start : start + 8], before_c)
        before_c = _xor(tea_block(x, key), before_x)
        before_x = x
        result += before_c
    return bytes(result)


def tea_decrypt(cipher: bytes, key: bytes) -> bytes:
    """Return what `tea_encrypt` was given.

    Raises:
        ProtocolError: It was not encrypted with this key.
    """
    if len(cipher) < 16 or len(cipher) % 8:
        raise WebQQProtocolError("no QQ-TEA: wrong length")
    plain = bytearray()
    before_x = before_c = bytes(8)
    for start in range(0, len(cipher), 8):
        c = cipher[start : start + 8]
        x = _tea_unblock(_xor(c, before_x), key)
        plain += _xor(x, before_c)
        before_x, before_c = x, c
    begin = (plain[0] & 7) + 3
    if bytes(plain[-7:]) != bytes(7) or begin > len(plain) - 7:
        raise WebQQProtocolError("no QQ-TEA: wrong key")
    return bytes(plain[begin:-7])


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))


def tea_key(password: str, salt: bytes) -> bytes:
    """Return the TEA key of a login."""
    inner = hashlib.md5(password.encode(), usedforsecurity=False).digest()
    return hashlib.md5(inner + salt, usedforsecurity=False).digest()


def _rsa(data: bytes, fill: Fill) -> bytes:
    """Return *data* encrypted for the service, with PKCS#1 v1.5 type 2 padding."""
    wanted = _RSA_BYTES - 3 - len(data)
    # Padding bytes are never zero; a zero marks its end.
    padding = bytes(byte or 1 for byte in fill(wanted))
    number = int.from_bytes(b"\0\2" + padding + b"\0" + data, "big")
    return pow(number, _EXPONENT, _MODULUS).to_bytes(_RSA_BYTES, "big")


def password_tea(password: str, salt: bytes, code: str, fill: Fill) -> str:
    """Return the password cipher of 2015: base64 with ``-*_`` for ``/+=``.

    Args:
        salt: 8 bytes from check, also when they are random (``pt_randsalt=2``).
        code: Captcha text or ready-made code; its upper-case form counts.
    """
    inner = hashlib.md5(password.encode(), usedforsecurity=False).digest()
    text = code.upper().encode("utf-8", "replace")
    sealed = _rsa(inner, fill)
    plain = len(sealed).to_bytes(2, "big") + sealed + salt + len(text).to_bytes(2, "big") + text
    cipher = tea_encrypt(plain, tea_key(password, salt), fill)
    return base64.b64encode(cipher).decode().translate(str.maketrans("/+=", "-*_"))


def password_tea_fits(p: str, password: str, salt: bytes, code: str) -> bool:
    """Whether *p* was made from these; the RSA part cannot be looked into without the private key (§7.2)."""
    try:
        cipher = base64.b64decode(p.translate(str.maketrans("-*_", "/+=")), validate=True)
        plain = tea_decrypt(cipher, tea_key(password, salt))
    except (ValueError, ProtocolError):
        return False
    text = code.upper().encode("utf-8", "replace")
    rest = salt + len(text).to_bytes(2, "big") + text
    return plain[:2] == _RSA_BYTES.to_bytes(2, "big") and plain[2 + _RSA_BYTES :] == rest
