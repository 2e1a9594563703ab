"""The soak of the OneBot adapter, short: a bot in a process of its own, a crowd, and trouble by the dice."""

import pytest

from tests.torture.onebot.plan import Plan
from tests.torture.onebot.soak import run


@pytest.mark.slow
def test_a_short_soak_with_trouble_holds(tmp_path, capsys):
    plan = Plan(
        seed=1, events=3000, rate=1000, reverse=True, warm_up=2000, deaf=4.0, deaf_rate=400, big=0, idle=0.5
    )  # fmt: skip
    code = run(plan, tmp_path)
    out = capsys.readouterr().out
    assert code == 0, out + (tmp_path / "trouble.log").read_text()
    head, _, values = (line.strip("| ").split(" | ") for line in out.splitlines()[:3])
    row = dict(zip(head, values, strict=True))
    for key in ("events", "events/s", "commands", "certain", "handled", "seen", "delivered", "unknown", "refused",
                "faults", "connections", "most outbox"):  # fmt: skip
        assert int(row[key]) > 0, key
    assert [row[key] for key in ("lost", "duplicated", "disordered", "misrouted", "dropped")] == ["0"] * 5
