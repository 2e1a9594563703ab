"""The vectors of the protocol page, §6–8."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qqops.protocol.webqq.hashes import FRIENDS_HASHES, bkn, hash33, password_md5


@pytest.mark.parametrize(
    ("text", "h33", "g_tk"),
    [
        ("", 0, 5381),
        ("a", 97, 177670),
        ("@SoxMZ1bd4", 116069868, 1016657201),
        ("qrsig0123456789-ABCxyz*_", 1923602554, 1307610239),
        ("hJ9GvNx*oIvLjP5I5dQ19KPa3zwxNI62eALLO*g2JLbKPYsZIRsnbJIxNe74NzQQ", 1178303247, 1860253716),
        ("O*lFRFPQRrmUUO3eV3A3gXoH53PnoBMK-xIDO4bnoP3r5rdgjGfyDELZkJQ6d8kx", 856390013, 1538340482),
    ],
)
def test_hash33_and_bkn(text, h33, g_tk):
    assert (hash33(text), bkn(text)) == (h33, g_tk)


@pytest.mark.parametrize(
    ("password", "number", "code", "cipher"),
    [
        ("secret123", 1685359365, "!PTH", "832B4E41AF349849B2634D319EAEF03A"),
        ("123456", 10001, "ABCD", "C52959702C8DFE3F4C013314291A2FBE"),
        ("123456", 10001, "abcd", "C52959702C8DFE3F4C013314291A2FBE"),
    ],
)
def test_password_chain(password, number, code, cipher):
    """The captcha may be typed in lower case; its upper-case form is hashed."""
    assert password_md5(password, number.to_bytes(8, "big"), code) == cipher


VECTORS = [
    (1685359365, "36683b80e7b0b46e26cc6b07c33432a4ab692e52f96e105d4d06fabd07359866", "AEA3F5F8", "0C2106370CC4524E", "491E8C10",
     "02000E0D00570103530253065A0105500B0555560754080250060A07050750025957050C0B560307570F0E5002050C57025101005E54515109040500080E0E0343544A40415A4352185041475641"),
    (10001, "2c0d8375e6c09f2af3ce60c6e081bdf4db271a14d0d85060", "CF9BC7CC", "0545544359685D5A", "DADE9A5E",
     "03530054090207055507520009560350560353540700530654010801525557045452030601510105550054080401060040504243475F4355105542435E42"),
    (912536370, "5d4c090f4a91cf44083ce8e274345e44e523c21341b41cf135f15b3b8cfc1329", "CF9A9E99", "097359275E7C5D79", "5861343F",
     "0C550656030F0351045808035655020707080A52570D56040403030D04570107530605035A03030607075103015A57030606500202520A530A5655550204020041534640415C4554195440475C44"),
    (3021377951, "", "", "00F1005500DE00D4", "B416919F", "435141424458455D155441425D43"),
    (123456789, "a", "", "614200180082005E", "075BCD15", "504252474641584A5D115741465A44"),
    (123456789, "abcdefg", "9EF9FD9C", "044204180482645E", "435BCD15", "5050505050505048584241445B4752175D4B435D41"),
    (4294967295, "ptwebqq0", "ABDB9CBA", "12BA05BC06B055B4", "0BC2F654", "44464E515B474602495447414E5B4B5217574B475B40"),
]  # fmt: skip


@pytest.mark.parametrize(("number", "ptwebqq", "n", "p", "q", "o"), VECTORS)
def test_friends_hashes(number, ptwebqq, n, p, q, o):
    assert {k: f(number, ptwebqq) for k, f in FRIENDS_HASHES.items()} == {"N": n, "O": o, "P": p, "Q": q}


@given(st.integers(1, 2**63), st.text("0123456789abcdef", max_size=80))
def test_no_input_breaks_a_hash(number, ptwebqq):
    for variant in FRIENDS_HASHES.values():
        variant(number, ptwebqq)
