"""The small hash functions of WebQQ. Source: webqq.md §6–8, which also has the vectors they are tested with."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping


def hash33(text: str) -> int:
    """Return ptqrtoken from the cookie qrsig: 31 bits (§6)."""
    value = 0
    for char in text.encode():
        value = (value * 33 + char) & 0xFFFFFFFF
    return value & 0x7FFFFFFF


def bkn(text: str) -> int:
    """Return g_tk from skey: as `hash33` but starting at 5381 (§6)."""
    value = 5381
    for char in text.encode():
        value = (value * 33 + char) & 0xFFFFFFFF
    return value & 0x7FFFFFFF


def time33(text: str) -> int:
    """Return the auth_token of pt4 calls: as `hash33`, but all 32 bits (§6)."""
    value = 0
    for char in text.encode():
        value = (value * 33 + char) & 0xFFFFFFFF
    return value


def password_md5(password: str, salt: bytes, code: str) -> str:
    """Return the password cipher of the MD5 generation: 32 upper-case hex characters (§7.1).

    Args:
        salt: 8 bytes from check.
        code: Captcha text or ready-made code; its upper-case form counts.
    """
    inner = hashlib.md5(password.encode(), usedforsecurity=False).digest()
    middle = hashlib.md5(inner + salt, usedforsecurity=False).hexdigest().upper()
    outer = middle + code.upper()
    return hashlib.md5(outer.encode("utf-8", "replace"), usedforsecurity=False).hexdigest().upper()


def friends_hash_n(number: int, ptwebqq: str) -> str:
    """Variant N, mid 2013 (§8). Needs a ptwebqq of at least four characters."""
    length = len(ptwebqq)
    if length < 4:
        return ""
    codes = [ord(c) for c in ptwebqq]

    def char(index: int) -> int:
        return codes[index] if 0 <= index < length else 0

    b, k = 0, 0xFFFFFFFF
    for digit in str(number):
        b = (b + int(digit)) % length
        missing = 4 + b - length
        if missing <= 0:
            window = codes[b : b + 4]
        else:
            window = [char(b + h) if h < missing else char(h - missing) for h in range(4)]
        k ^= window[0] << 24 | window[1] << 16 | window[2] << 8 | window[3]
    return f"{k:08X}"


def friends_hash_o(number: int, ptwebqq: str) -> str:
    """Variant O, "password error", 2013 and June 2014 (§8)."""
    a = ptwebqq + "password error"
    digits = str(number)
    repeated = (digits * (len(a) // len(digits) + 1))[: len(a)]
    return "".join(f"{ord(x) ^ ord(y):02X}" for x, y in zip(a, repeated, strict=True))


def friends_hash_p(number: int, ptwebqq: str) -> str:
    """Variant P, "hash2", mid 2014 to the end (§8). Works with an empty ptwebqq."""
    n = [0, 0, 0, 0]
    for i, char in enumerate(ptwebqq):
        n[i % 4] ^= ord(char)
    v = [x ^ y for x, y in zip((number & 0xFFFFFFFF).to_bytes(4, "big"), b"ECOK", strict=True)]
    return "".join(f"{n[i]:02X}{v[i]:02X}" for i in range(4))


def friends_hash_q(number: int, ptwebqq: str) -> str:
    """Variant Q, early 2014 (§8): counters that run along a quicksort of ptwebqq."""
    r = list((number & 0xFFFFFFFF).to_bytes(4, "big"))
    p = [ord(c) for c in ptwebqq]
    stack = [(0, len(p) - 1)]
    while stack:
        low, high = stack.pop()
        if low >= high:
            continue
        if low + 1 == high:
            if p[low] > p[high]:
                p[low], p[high] = p[high], p[low]
            continue
        left, right, pivot = low, high, p[low]
        while left < right:
            while left < right and p[right] >= pivot:
                right -= 1
                r[0] = (r[0] + 3) & 255
            if left < right:
                p[left] = p[right]
                left += 1
                r[1] = (r[1] * 13 + 43) & 255
            while left < right and p[left] <= pivot:
                left += 1
                r[2] = (r[2] - 3) & 255
            if left < right:
                p[right] = p[left]
                right -= 1
                r[3] = (r[0] ^ r[1] ^ r[2] ^ (r[3] + 1)) & 255
        p[left] = pivot
        stack.append((low, left - 1))
        stack.append((left + 1, high))
    return "".join(f"{x:02X}" for x in r)


#: The variants by their letter.
FRIENDS_HASHES: Mapping[str, Callable[[int, str], str]] = {
    "N": friends_hash_n,
    "O": friends_hash_o,
    "P": friends_hash_p,
    "Q": friends_hash_q,
}
