"""Who may do what, as it is changed and looked at while the bot runs. Injected into handlers that ask for it."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import structlog
import trio

from qqops.errors import ConfigError, StoreError
from qqops.model import Clock
from qqops.runtime.context import Context
from qqops.runtime.gate import Gate
from qqops.runtime.granted import GIVEN_BY_PLACE
from qqops.runtime.halted import OWN, Halt
from qqops.runtime.owner import Claim
from qqops.runtime.registry import Command, Handler, Registry, Trigger, names_of
from qqops.runtime.roles import OWNER, Grant, check_person, check_role
from qqops.runtime.rules import Effect, Rule, make_rule
from qqops.runtime.storage.keep import Keep
from qqops.runtime.why import Decision

log = structlog.get_logger("qqops.access")

#: Changes that are remembered.
MAX_CHANGES = 1000
#: Seconds between two tries to read what an earlier run has kept.
RETRY = 0.5


@attrs.frozen(kw_only=True)
class Change:
    """Something that was changed: who, when, what, from what to what.

    Attributes:
        number: Counts up for ever.
        at: ISO 8601.
        by: Address of who did it.
        what: ``rule r7``, ``role sre onebot11:main/1``, ``switch ROOM NAME``.
        old: What it was; "" when it is new.
        new: What it is; "" when it is gone.
    """

    number: int
    at: str
    by: str
    what: str
    old: str
    new: str


class Access:
    """Roles, rules and switches of one bot, and the reasons of the last decisions."""

    def __init__(self, gate: Gate, keep: Keep, clock: Clock, registry: Registry) -> None:
        self._gate = gate
        self._keep = keep
        self._clock = clock
        self._registry = registry
        self._claim = Claim()
        self._changes: deque[Change] = deque(maxlen=MAX_CHANGES)
        self._next_rule = 1
        gate.loaded = False
        gate.refresh()

    # -- roles ----------------------------------------------------------------------------------

    def grant(self, ctx: Context, role: str, person: str) -> bool:
        """Give *person* a role; False when they have it.

        Raises:
            ConfigError: One of them is none, or only an owner may do that.
        """
        check_role(role)
        check_person(person)
        self._check_owner(ctx, role)
        if person in self._gate.roles.members(role):
            return False
        self._put_grant(Grant(role, person, by(ctx), self._clock.now().isoformat()))
        self._note(by(ctx), f"role {role} {person}", "", "granted")
        return True

    def give(self, role: str, person: str) -> None:
        """Give *person* a role in the name of the program itself. Raises `ConfigError`."""
        check_role(role)
        check_person(person)
        self._put_grant(Grant(role, person, "program", self._clock.now().isoformat()))

    def revoke(self, ctx: Context, role: str, person: str) -> bool:
        """Take a role from *person* that was given in the chat; False when it was not.

        Raises:
            ConfigError: It comes from the settings, or only an owner may do that.
        """
        self._check_owner(ctx, role)
        if person in self._gate.roles.fixed.get(role, ()):
            raise ConfigError(f"{person} has the role {role} by the settings: take it out there")
        if self._gate.roles.grants.pop((role, person), None) is None:
            return False
        self._keep.delete(f"role/{role}/{person}")
        self._gate.refresh()
        self._note(by(ctx), f"role {role} {person}", "granted", "")
        return True

    def roles(self) -> Mapping[str, Sequence[str]]:
        """Return the members of every role that somebody has by the settings or the chat."""
        roles = self._gate.roles
        return {name: sorted(roles.members(name)) for name in roles.names()}

    def claim(self, ctx: Context, code: str) -> bool:
        """Make the sender the owner when *code* is the one in the log; only in a private chat."""
        if self._gate.roles.members(OWNER) or not self._claim.take(code, self._clock.now().timestamp()):
            return False
        if not ctx.room.private or not ctx.sender.verified:
            log.warning("the code was said where others can read it, or by nobody in particular: it is void")
            return False
        person = str(ctx.sender.person)
        self._put_grant(Grant(OWNER, person, person, self._clock.now().isoformat()))
        self._note(person, f"role {OWNER} {person}", "", "claimed")
        log.warning("the bot has an owner", person=person)
        return True

    def offer_ownership(self) -> str:
        """Return a code that makes whoever types it the owner; "" when there is one already."""
        if self._gate.roles.members(OWNER):
            return ""
        return self._claim.open(self._clock.now().timestamp())

    def _check_owner(self, ctx: Context, role: str) -> None:
        if role == OWNER and OWNER not in ctx.roles:
            raise ConfigError("only an owner makes or unmakes owners")

    def _put_grant(self, grant: Grant) -> None:
        self._gate.roles.grants[grant.role, grant.person] = grant
        self._keep.save(f"role/{grant.role}/{grant.person}", [grant.by, grant.at])
        if grant.role == OWNER:
            self._claim.close()
        self._gate.refresh()

    # -- rules ----------------------------------------------------------------------------------

    def add_rule(self, ctx: Context, effect: str, parts: Sequence[str]) -> Rule:
        """Add a rule; it holds from now on.

        Raises:
            ConfigError: It is none, nothing is called like that, or it would keep its author from removing it.
        """
        try:
            kind = Effect(effect.lower())
        except ValueError:
            raise ConfigError(f"a rule is allow or deny, not {effect!r}") from None
        rule = make_rule(f"r{self._next_rule}", kind, parts)
        self._check_names(rule)
        self._check_lockout(ctx, rule)
        self._next_rule += 1
        self._keep.save("next-rule", self._next_rule)
        self._keep.save(f"rule/{rule.id}", [kind.value, *parts])
        self._note(by(ctx), f"rule {rule.id}", "", str(rule))
        return rule

    def _check_lockout(self, ctx: Context, rule: Rule) -> None:
        """Put *rule* into force, unless that takes from its author, or from an owner, what removes it."""
        own = [h for h in self._handlers() if h.guards.permission.startswith(OWN)]
        above = rule.effect is Effect.DENY and OWNER not in ctx.roles and self._may_hit_owner(rule)
        if above and any(rule.about(h.plugin, h.name, h.guards.permission) for h in own):
            raise ConfigError("only an owner may deny that to owners; narrow it down, by role or plugin")
        before = [h for h in own if self._gate.may_run(ctx, h)]
        self._gate.rules[rule.id] = rule
        self._gate.refresh()
        if not all(self._gate.may_run(ctx, h) for h in before):
            del self._gate.rules[rule.id]
            self._gate.refresh()
            raise ConfigError("with that rule you could not remove it again")

    def _may_hit_owner(self, rule: Rule) -> bool:
        owners = self._gate.roles.members(OWNER)
        if rule.user:
            return rule.user in owners
        if rule.role and rule.role not in GIVEN_BY_PLACE:
            return bool(owners & self._gate.roles.members(rule.role))
        return True

    def remove_rule(self, ctx: Context, id_: str) -> bool:
        """Remove a rule that was made in the chat; False when there is none. Raises `ConfigError`."""
        if any(rule.id == id_ for rule in self._gate.fixed):
            raise ConfigError(f"the rule {id_} stands in the settings: take it out there")
        rule = self._gate.rules.pop(id_, None)
        broken = f"rule/{id_}" in self._gate.broken
        if rule is None and not broken:
            return False
        self._gate.broken.discard(f"rule/{id_}")
        self._gate.refresh()
        self._keep.delete(f"rule/{id_}")
        self._note(by(ctx), f"rule {id_}", str(rule or "?"), "")
        return True

    def rules(self) -> Sequence[Rule]:
        """Return all rules: those of the settings, then those of the chat."""
        return [*self._gate.fixed, *self._gate.rules.values()]

    @property
    def broken(self) -> Sequence[str]:
        """What was kept and cannot be read; while there is any, only owners get in."""
        return sorted(self._gate.broken)

    def history(self) -> Sequence[Change]:
        """Return what was changed, the latest first."""
        return list(reversed(self._changes))

    def _check_names(self, rule: Rule) -> None:
        """A rule about something that is called differently would do nothing, silently."""
        if rule.command and not any(rule.about(h.plugin, h.name, rule.permission) for h in self._handlers()):
            for command in self._registry.commands:
                if (rule.command,) in names_of(command):
                    name = " ".join(command.path)
                    raise ConfigError(
                        f"{rule.command!r} is another name of {name!r}; a rule about that covers both"
                    )
            raise ConfigError(f"there is no command {rule.command!r}")
        if rule.plugin and rule.plugin not in {h.plugin for h in self._handlers()}:
            raise ConfigError(f"there is no plugin {rule.plugin!r}")

    # -- switches -------------------------------------------------------------------------------

    def turn_plugin(self, ctx: Context, plugin: str, on: bool) -> bool:
        """Switch a plugin on or off in this room; False when it was so before. On lifts what the bot has switched off.

        Raises:
            ConfigError: There is none, or it is the one that switches.
        """
        handlers = [h for h in self._handlers() if h.plugin == plugin]
        if not handlers:
            raise ConfigError(f"there is no plugin {plugin!r}")
        if not on and any(h.guards.permission.startswith(OWN) for h in handlers):
            raise ConfigError(
                f"{plugin} brings the commands that switch it on again; switch off single commands"
            )
        turned = self._turn(ctx, plugin, on)
        return (on and self._lift(ctx, plugin)) or turned

    def turn_command(self, ctx: Context, name: str, on: bool) -> bool:
        """Switch a command on or off in this room; False when it was so before. On lifts what the bot has switched off.

        What the bot has switched off may be any handler, as ``plugin:name``.

        Raises:
            ConfigError: There is none, or it is one that switches.
        """
        if on and ":" in name and self._lift(ctx, name):
            return True
        command = self._command(name)
        if on and self._lift(ctx, command.handler.key):
            self._turn(ctx, command.handler.key, on)
            return True
        if not on and command.handler.guards.permission.startswith(OWN):
            raise ConfigError(f"{name} is needed to switch things on again")
        return self._turn(ctx, command.handler.key, on)

    def plugins(self, ctx: Context) -> Mapping[str, bool]:
        """Return every plugin with handlers, and whether it is on in this room."""
        off = self._gate.switches.off(str(ctx.room.ref))
        return {name: name not in off for name in sorted({h.plugin for h in self._handlers()})}

    def commands_off(self, ctx: Context) -> Sequence[str]:
        """Return the single handlers that are off in this room, or everywhere, as ``plugin:name``."""
        off = self._gate.switches.off(str(ctx.room.ref))
        return sorted({name for name in off if ":" in name} | set(self._gate.halted))

    def _turn(self, ctx: Context, name: str, on: bool) -> bool:
        room = str(ctx.room.ref)
        if not self._gate.switches.turn(room, name, on):
            return False
        off = self._gate.switches.off(room)
        if off:
            self._keep.save(f"switch/{room}", sorted(off))
        else:
            self._keep.delete(f"switch/{room}")
        self._gate.refresh()
        self._note(by(ctx), f"switch {room} {name}", "off" if on else "on", "on" if on else "off")
        return True

    def _lift(self, ctx: Context, name: str) -> bool:
        """Switch on what the bot itself has switched off, everywhere; return whether there was any.

        A room's own admin may switch things in that room, but not this: who can set it off could go on and on.
        """
        if self._gate.halted.of(name) and OWNER not in ctx.roles:
            raise ConfigError(
                f"the bot itself has switched off {name} everywhere; only an owner switches it on"
            )
        found = self._gate.halted.lift(name)
        for key in found:
            self._note(by(ctx), f"halt {key}", "off", "on")
        return bool(found)

    def _command(self, name: str) -> Command:
        plugin, colon, bare = name.rpartition(":")
        wanted = tuple(bare.lower().split())
        found = [
            one
            for one in self._registry.commands
            if wanted in names_of(one) and (not colon or plugin == one.handler.plugin)
        ]
        if len(found) != 1:
            raise ConfigError(f"there is {'no' if not found else 'more than one'} command {name!r}")
        return found[0]

    def _handlers(self) -> list[Handler]:
        made = self._registry
        found = [one.handler for one in made.commands] + [one.handler for one in made.listeners]
        return found + [one.handler for one in made.jobs]

    # -- why ------------------------------------------------------------------------------------

    def why_message(self, ctx: Context) -> Sequence[Decision]:
        """Return what was decided about the message that is quoted, or about the sender's last one here."""
        message = ctx.message
        if message.reply_to is not None:
            return self._gate.why.of_message(message.room.ref, message.reply_to.id)
        return self._gate.why.of_person(message.room.ref, message.sender.ref)

    def not_asked(self, ctx: Context) -> Sequence[tuple[str, Halt]]:
        """Return the listeners that search no message for their pattern, as the bot has switched them off, and why."""
        asked = [one.handler for one in self._registry.listeners if one.trigger is Trigger.REGEX]
        return [
            (handler.key, halt)
            for handler, halt in self._gate.halted.among(asked)
            if not (wanted := handler.guards.permission) or self._gate.may(ctx, wanted)
        ]

    def why_id(self, number: str) -> Sequence[Decision]:
        """Return what was decided in the run, or about the message, with this id."""
        return self._gate.why.of_id(number)

    def why_job(self, name: str) -> Sequence[Decision]:
        """Return the last decision about the job *name*."""
        return self._gate.why.of_job(name)

    # -- what outlives the process --------------------------------------------------------------

    async def load(self) -> None:
        """Read what an earlier run has kept; until that is done nobody gets in. A store that fails is waited for."""
        while True:
            try:
                kept = self._keep.load()
                break
            except StoreError as exc:
                log.error("who may do what cannot be read: nobody gets in", reason=str(exc))  # noqa: TRY400 - one line
            await trio.sleep(RETRY)
        for key in sorted(kept):
            self._take(key, kept[key])
        taken = [int(id_[1:]) for id_ in self._gate.rules if id_[1:].isdecimal()]
        self._next_rule = max([self._next_rule, *(number + 1 for number in taken)])
        self._changes = deque(sorted(self._changes, key=lambda one: one.number), maxlen=MAX_CHANGES)
        self._gate.loaded = True
        self._gate.refresh()

    def _take(self, key: str, value: Any) -> None:
        kind, _, rest = key.partition("/")
        try:
            if kind == "rule":
                effect, *parts = value
                self._gate.rules[rest] = make_rule(rest, Effect(effect), parts)
            elif kind == "role":
                role, _, person = rest.partition("/")
                who, at = value
                self._gate.roles.grants[role, person] = Grant(role, person, who, at)
            elif kind == "switch":
                self._gate.switches.put(rest, frozenset(map(str, value)))
            elif kind == "limit":
                self._gate.limits.load({key: value})
            elif kind == "change":
                self._changes.append(Change(**value))
            elif key == "next-rule":
                self._next_rule = int(value)
        except (ValueError, TypeError, KeyError, AttributeError, ConfigError) as exc:
            log.error("what was kept about access cannot be read", key=key, reason=str(exc))  # noqa: TRY400 - one line
            if kind in ("rule", "role", "switch"):
                self._gate.broken.add(key)

    def _note(self, who: str, what: str, old: str, new: str) -> None:
        number = self._changes[-1].number + 1 if self._changes else 1
        change = Change(number=number, at=self._clock.now().isoformat(), by=who, what=what, old=old, new=new)
        if len(self._changes) == MAX_CHANGES:
            self._keep.delete(f"change/{self._changes[0].number}")
        self._changes.append(change)
        self._keep.save(f"change/{number}", attrs.asdict(change))
        log.info("access was changed", by=who, what=what, old=old, new=new)


def by(ctx: Context) -> str:
    """Return the address of who set *ctx* off."""
    return str(ctx.sender.proven)
