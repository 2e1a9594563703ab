"""The simulator by date and by scenario."""

import pytest

from qqops.errors import ConfigError
from qqops.simulator.calendar import era
from qqops.simulator.scenario import load_scenario


def test_the_generations_change_as_the_calendar_says():
    assert era("webqq2013@2013-03")[1].friends_hash is None
    assert era("webqq2013@2013-07")[1].friends_hash == frozenset("NO")
    assert era("webqq2013@2014-06-14")[1].groups_hash is None
    assert era("webqq2013@2014-06-15")[1].groups_hash == frozenset("O")
    assert [era(f"webqq2013@{when}")[1].cipher for when in ("2015-02", "2015-03")] == ["md5", "tea"]
    assert [era(f"smartqq@{w}")[1].password_login for w in ("2015-09-25", "2015-09-26")] == [True, False]
    assert [era(f"smartqq@{w}")[1].idle for w in ("2015-06", "2016-06", "2018-01")] == [102, 0, 100012]
    assert [era(f"smartqq@{w}")[1].real_numbers for w in ("2017-04-16", "2017-04-17")] == [True, False]
    assert [era(f"smartqq@2017-05-{day}")[1].open_lists for day in (10, 11, 15, 16)] == [
        False,
        True,
        True,
        False,
    ]
    assert [bool(era(f"smartqq@2015-12-0{day}")[1].dead_hosts) for day in (8, 9)] == [False, True]
    assert [era(f"smartqq@2018-12-0{day}")[1].https_lists for day in (4, 5)] == [False, True]
    assert [era(f"smartqq@2017-02-0{day}")[1].qr_token for day in (8, 9)] == [False, True]


@pytest.mark.parametrize(
    "profile", ["icq", "smartqq@soon", "smartqq@2013-01", "smartqq@2019-01-01", "webqq2013@2013-13"]
)
def test_what_never_was_is_refused(profile):
    with pytest.raises(ConfigError):
        era(profile)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("", "no [[step]]"),
        ("x = 1", "'x'"),
        ("[[step]]\nat = 1", "step 1"),
        ("[[step]]\nfault = 'nonsense'", "step 1: unknown fault"),
        ("[[step]]\nfault = 'close'\nsize = 1", "'size'"),
        ("[[step]]\ncall = 'sing'", "'sing'"),
        ("[[step]]\nat = -1\ncall = 'drop'", "at must be seconds"),
        ("[[step]]\ncall = 'drop'\ntimes = 1.5", "times"),
        ("seed = 'x'\n[[step]]\ncall = 'drop'", "seed"),
        ("[[step]", "not valid TOML"),
    ],
)
def test_a_wrong_scenario_is_refused_with_the_step(tmp_path, text, wrong):
    path = tmp_path / "s.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"s\.toml") as caught:
        load_scenario(path)
    assert wrong in str(caught.value)
