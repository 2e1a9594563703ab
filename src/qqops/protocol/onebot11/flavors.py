"""How implementations differ, as data. What an implementation calls itself (``app_name``) picks its row."""

from __future__ import annotations

import re
from collections.abc import Mapping

import attrs

#: Matches nothing.
_NEVER = re.compile(r"(?!)")


@attrs.frozen(kw_only=True)
class Flavor:
    """What is special about one implementation.

    Attributes:
        names: Beginnings of ``app_name``, in lower case.
        unknown: Failures after which the message may have arrived all the same (onebot11.md §6.1).
        certain: What makes such a failure a refusal after all.
        actions: Names of actions that differ from those of NapCat, which most others follow; "" for what it lacks.
        files: Whether a message can hold a file.
    """

    names: tuple[str, ...] = ()
    unknown: re.Pattern[str] = _NEVER
    certain: re.Pattern[str] = _NEVER
    actions: Mapping[str, str] = attrs.field(factory=dict)
    files: bool = True

    def name_of(self, action: str) -> str:
        """Return what *action* is called here; "" when there is nothing like it."""
        return self.actions.get(action, action)

    def is_unknown(self, words: str) -> bool:
        """Whether a failure in these *words* leaves open whether it was done."""
        return self.unknown.search(words) is not None and self.certain.search(words) is None


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text, re.IGNORECASE | re.DOTALL)


#: NapCat waits 10 s for QQ's echo of a sent message and says "failed" when it does not come; `EventRet.result` 0 or {}
#: is no reason either. Other numbers are, whatever stands before them: 120 and 110 muted, -1 rich media failed.
_RESULT = r"EventRet.{0,200}[\"']?result[\"']?\s*[:=]\s*"
_NAPCAT = _pattern(rf"Timeout: ?NTEvent|{_RESULT}(?:0\b|\{{\s*\}})")
_REFUSED = _pattern(rf"{_RESULT}-?[1-9]")
_GOCQ = _pattern(r"风控|risk|SEND_MSG_API_ERROR")

#: Taken for whoever is not in the table.
UNKNOWN = Flavor(unknown=_pattern(f"{_NAPCAT.pattern}|{_GOCQ.pattern}"), certain=_REFUSED)

FLAVORS: Mapping[str, Flavor] = {
    "napcat": Flavor(names=("napcat",), unknown=_NAPCAT, certain=_REFUSED),
    "llbot": Flavor(
        names=("llonebot", "llbot", "lucky"),
        unknown=_NAPCAT,
        certain=_REFUSED,
        actions={"_del_group_notice": "_delete_group_notice", "trans_group_file": ""},
    ),
    "snowluma": Flavor(names=("snowluma",), unknown=_NAPCAT, certain=_REFUSED),
    "lagrange": Flavor(
        names=("lagrange",),
        actions={"set_msg_emoji_like": "", "unset_msg_emoji_like": "", "send_poke": "", "_del_group_notice": ""},
    ),
    "gocq": Flavor(
        names=("go-cqhttp", "gocq"),
        files=False,
        unknown=_GOCQ,
        actions={
            "set_msg_emoji_like": "", "unset_msg_emoji_like": "", "set_group_reaction": "", "send_poke": "",
            "group_poke": "", "friend_poke": "", "get_friend_msg_history": "", "trans_group_file": "",
        },
    ),
}  # fmt: skip


def flavor_of(app_name: str) -> Flavor:
    """Return the row of an implementation by what it calls itself."""
    name = app_name.casefold()
    return next((f for f in FLAVORS.values() if name.startswith(f.names)), UNKNOWN)
