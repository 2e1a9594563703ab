"""The cipher of 2015 against the vectors of the protocol page (webqq.md §7.2)."""

import base64
import os

import pytest

from qqops.errors import ProtocolError
from qqops.protocol.webqq.ciphers import (
    password_tea,
    password_tea_fits,
    tea_block,
    tea_decrypt,
    tea_encrypt,
    tea_key,
)
from qqops.protocol.webqq.hashes import time33

KEY = bytes(range(16))
SALT = (1685359365).to_bytes(8, "big")
CHAIN = (
    "jd8yEZVlUIqfjjdttYxX2yUoxpXJ8yufnvDQa2n2jzDqNT-PVOy4tOyEfyVvfv31EjoFM8rW*aUyY07Xa9WA2ftFo5PFW40PC4JPqy-4zreX8QbEV"
    "u84rHedoZrEu9etzubSqkY4RTVGhz2587ypD5I5beV*5kuXBCKa3w0z6Xj6qvB-dza8nlae-S0OHIZ4eCbw5y58PUpC6DCg2ksR1w__"
)


def fill(byte):
    return lambda count: bytes([byte]) * count


@pytest.mark.parametrize(
    ("data", "byte", "cipher"),
    [
        (b"hello", 0x00, "1c0f18dd779ac5ea3c2165b9ab20558e"),
        (b"hello", 0xAA, "64dd6bf8c92736d4fe8b903bf7b3141b"),
        (b"", 0x00, "489903fc68ca22b1caf13da2af75727f"),
        (bytes(range(16)), 0x00, "489903fc68ca22b12ae7c6a3c7ca86dc6cd6973d7ea3570897fb53813f0154d0"),
    ],
)
def test_tea(data, byte, cipher):
    assert tea_encrypt(data, KEY, fill(byte)).hex() == cipher
    assert tea_decrypt(bytes.fromhex(cipher), KEY) == data


def test_one_block():
    assert tea_block(bytes(8), KEY).hex() == "092679681d519fb2"


def test_the_whole_chain():
    key = tea_key("secret123", SALT)
    assert key.hex() == "d6debde1f378201052378359bee1a0bd"
    plain = tea_decrypt(base64.b64decode(CHAIN.translate(str.maketrans("-*_", "/+="))), key)
    again = base64.b64encode(tea_encrypt(plain, key, fill(0))).decode().translate(str.maketrans("/+=", "-*_"))
    assert again == CHAIN
    assert password_tea_fits(CHAIN, "secret123", SALT, "!pth")


def test_a_service_without_the_private_key_can_tell():
    p = password_tea("secret123", SALT, "abcd", os.urandom)
    assert len(p) == 216
    assert password_tea_fits(p, "secret123", SALT, "ABCD")
    for wrong in [("secret124", SALT, "ABCD"), ("secret123", bytes(8), "ABCD"), ("secret123", SALT, "ABCE")]:
        assert not password_tea_fits(p, *wrong)
    assert not password_tea_fits("not base64!", "secret123", SALT, "ABCD")


@pytest.mark.parametrize("cipher", [b"", b"short", bytes(16), bytes(17)])
def test_what_is_no_tea_is_refused(cipher):
    with pytest.raises(ProtocolError):
        tea_decrypt(cipher, KEY)


def test_time33_keeps_all_32_bits():
    assert [time33(""), time33("a"), time33("@SoxMZ1bd4") & 0x7FFFFFFF] == [0, 97, 116069868]
    assert time33("zzzzzzzzzz") < 2**32
