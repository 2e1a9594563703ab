"""Access as the settings say it: owners, roles, permissions, rules. It holds from the first message on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from qqops.protocol.words import split
from qqops.runtime.roles import EVERYONE, OWNER, SYSTEM
from qqops.runtime.rules import Effect, Rule, make_rule


@attrs.frozen(kw_only=True)
class RulesSettings:
    """Table ``[rules]``.

    Attributes:
        allow: Rules that allow, each as ``role=dev command=deploy env=staging``.
        deny: Rules that deny; these win.
    """

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class AccessPolicy:
    """What the settings say about who may do what.

    Attributes:
        owners: Addresses of those who may do everything that no rule denies.
        roles: Role → addresses of people.
        permissions: Role → permissions, as ``deploy.*``.
    """

    owners: tuple[str, ...] = ()
    roles: Mapping[str, Sequence[str]] = attrs.field(factory=dict)
    permissions: Mapping[str, Sequence[str]] = attrs.field(factory=dict)
    rules: RulesSettings = attrs.field(factory=RulesSettings)

    @property
    def members(self) -> dict[str, Sequence[str]]:
        """Role → addresses, the owners among them."""
        return {**self.roles, OWNER: (*self.roles.get(OWNER, ()), *self.owners)}


def rules_of(policy: AccessPolicy) -> list[Rule]:
    """Return the rules of the settings. Raises `ConfigError` for a wrong one."""
    rules = [
        make_rule(f"permissions.{role}", Effect.ALLOW, (f"role={role}", f"permission={permission}"))
        for role, permissions in policy.permissions.items()
        for permission in permissions
    ]
    for effect in Effect:
        texts: tuple[str, ...] = getattr(policy.rules, effect.value)
        rules += [
            make_rule(f"rules.{effect.value}[{i}]", effect, words_of(text)) for i, text in enumerate(texts)
        ]
    return rules


def words_of(text: str) -> list[str]:
    """Return the parts of a rule that is written as one text; a part with blanks stands in quotes."""
    return [word.text for word in split(text)]


#: Roles that may stand in ``[permissions]`` although nobody gives them.
GIVEN_BY_PLACE = (EVERYONE, SYSTEM, "room.owner", "room.admin", "room.member")
