"""The one gate before every handler, whoever set it off: a person, a job, an alias, a conversation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import structlog

from qqops.errors import PluginError, Refuse
from qqops.model import Clock
from qqops.runtime.arguments import arguments_of
from qqops.runtime.border import ANYTHING, described, split
from qqops.runtime.clock import WallClock
from qqops.runtime.context import Content, Context
from qqops.runtime.declared import Limit
from qqops.runtime.doors import Door as Door
from qqops.runtime.doors import Entry, Refusal, Veto
from qqops.runtime.doors import Request as Request
from qqops.runtime.granted import AccessPolicy, rules_of
from qqops.runtime.halted import Halted
from qqops.runtime.limits import PREFIX, Limits, Spent
from qqops.runtime.observe import Result
from qqops.runtime.roles import NOBODY, OWNER, Roles
from qqops.runtime.rules import Rule, Ruling, Tables
from qqops.runtime.standings import Standings
from qqops.runtime.storage.keep import Keep, MemoryKeep
from qqops.runtime.switches import Switches
from qqops.runtime.verdicts import Stage, Verdict
from qqops.runtime.why import Why
from qqops.texts import Say

if TYPE_CHECKING:
    from qqops.runtime.registry import Handler, Hit

log = structlog.get_logger("qqops.gate")

#: What a run holds that holds nothing.
_NOTHING: Sequence[str] = ()


class Gate:
    """Decides whether a handler may run.

    `admit` comes first and is cheap: switches and permission. `check` comes after the filters, once the words are
    converted: rules about arguments, and the plugins' own opinions. Where the handler is not open, `begin` counts the run
    (limits), and `enter` takes it through the doors that concern it, in their order (locks, approvals).
    Each notes in the context what it has decided. `leave` closes what these have opened. An error in any of them means no.

    Attributes:
        checks: Whether `check` may say something else than `admit`: it knows the arguments, and asks plugins again.
        inside: How many runs have begun to go in and have not left.
        version: Grows with every change of what decisions are made of.
        rules: Those that were made in the chat, by id.
        broken: What an earlier run has kept and cannot be read. While there is any, only owners get in.
        loaded: Whether what an earlier run has kept is known. Before that nobody gets in.
    """

    def __init__(
        self, policy: AccessPolicy | None = None, *, clock: Clock | None = None, keep: Keep | None = None
    ) -> None:
        self._clock = clock or WallClock()
        policy = policy or AccessPolicy()
        self._doors: list[Door] = []
        self._concerning: dict[Handler, tuple[Door, ...]] = {}
        self.fixed: Sequence[Rule] = rules_of(policy)
        self.rules: dict[str, Rule] = {}
        self.roles = Roles(policy.members, lambda: self._clock.now().timestamp())
        self._standings = Standings(self.roles)
        self.switches = Switches()
        self.halted = Halted(self._clock)
        self.halted.changed.append(self.refresh)
        self.limits = Limits(keep or MemoryKeep())
        self.why = Why()
        self.vetoes: tuple[Veto, ...] = ()
        self.broken: set[str] = set()
        self.loaded = True
        self.version = 0
        self.inside = 0
        self._verdicts: dict[tuple[str, Rule | str], Verdict] = {}
        self.refresh()

    def refresh(self) -> None:
        """Take over changes of rules, roles, switches and plugins."""
        self._tables = Tables((*self.fixed, *self.rules.values()))
        asks = bool(self.vetoes) or self.roles.identify is not None
        self.checks = self._tables.by_argument or asks
        sealed = self.broken or not self.loaded
        # Nothing can stand before a handler that needs no permission: one look is enough.
        self._plain = not (sealed or self._tables.denying or self.switches or self.halted or self.vetoes)
        self.roles.refresh()
        self._standings.clear()
        self._verdicts.clear()
        self._concerning.clear()
        self.version += 1

    def add_doors(self, *doors: Door) -> None:
        """Put *doors* behind those that are there already."""
        self._doors += doors
        self._concerning.clear()

    # -- before a run ---------------------------------------------------------------------------

    def admit(self, ctx: Context, hit: Hit) -> Content | None:
        """Return None when whoever set *hit* off may, or might with the right arguments; else why not."""
        handler = hit.handler
        if self._plain and not handler.guards.permission:
            return None
        ready = self._standings.ready(ctx.event)
        said: Refusal | Verdict | None
        if ready is not None and handler in ready.admitted:
            said = ready.admitted[handler]
        else:
            said = self._decide(ctx, handler, None)
            if ready is not None and not isinstance(said, Refusal):
                ready.admitted[handler] = said
        if isinstance(said, Verdict):
            ctx.decided(said)
            return None
        return self._told(ctx, said)

    def check(self, ctx: Context, hit: Hit, call: Callable[[], Any]) -> Content | None:
        """Return None when *hit* may run as *call*, its words converted; else why not."""
        said = self._decide(ctx, hit.handler, call)
        if isinstance(said, Verdict):
            if said not in ctx.verdicts:  # `admit` may have known it already
                ctx.decided(said)
            return None
        return self._told(ctx, said)

    def begin(self, ctx: Context, hit: Hit) -> Entry | Content | None:
        """Count *hit*, which was admitted and has its words converted.

        Returns:
            None when it may run and holds nothing; what must `enter`, if it has doors, and `leave`; or why it may not run
            now, "" when that was told before.
        """
        handler = hit.handler
        doors, held = self._doors_of(handler), _NOTHING
        if handler.guards.limits:
            try:
                charged = self._charge(ctx, handler)
            except ANYTHING as exc:
                return self._told(ctx, _error(handler, exc))
            if isinstance(charged, str | Say):
                return charged
            held = charged
        if not held and not doors:
            return None
        self.inside += 1
        return Entry(ctx, hit, doors, held)

    def _doors_of(self, handler: Handler) -> tuple[Door, ...]:
        found = self._concerning.get(handler)
        if found is None:
            found = tuple(door for door in self._doors if door.concerns(handler))
            self._concerning[handler] = found
        return found

    async def enter(self, entry: Entry) -> Content | None:
        """Go through the doors; return why one of them is closed. It has left then."""
        ctx = entry.ctx
        try:
            for door in entry.doors:
                try:
                    refusal = await door.before(ctx, entry.hit)
                except Refuse as exc:
                    refusal = exc.text or Say("refuse.filtered")
                if refusal is not None:
                    ctx.decided(Verdict(door.stage, False, refusal if isinstance(refusal, Say) else None))
                    self.leave(entry, Result.REFUSED)
                    return refusal
                entry.passed += 1
        except ANYTHING as exc:
            theirs, ours = split(exc)
            self.leave(entry, Result.CANCELLED if theirs is None else Result.FAILED)
            if ours is not None or theirs is None:
                raise
            return self._told(ctx, _error(entry.hit.handler, theirs))
        return None

    def leave(self, entry: Entry, result: Result) -> None:
        """The run has ended, or is not let in after all."""
        self.inside -= 1
        if entry.held:
            self.limits.release(entry.held)
        if not entry.passed:
            return
        for door in reversed(entry.doors[: entry.passed]):
            try:
                door.after(entry.ctx, entry.hit, result)
            except Exception:
                log.exception("the end of a run was not taken note of", stage=door.stage.value)

    # -- questions ------------------------------------------------------------------------------

    def may_run(self, ctx: Context, handler: Handler) -> bool:
        """Whether who set *ctx* off may run *handler*, at least with some arguments. For help."""
        if self._plain and not handler.guards.permission:
            return True
        return not isinstance(self._decide(ctx, handler, None), Refusal)

    def may(self, ctx: Context, permission: str, command: str = "") -> bool:
        """Whether who set *ctx* off has *permission* here, in the plugin of *ctx*; False on any error.

        Args:
            command: Name of the handler that runs; rules may be about it.
        """
        try:
            if not self.loaded:
                return False
            user, who, standing = self._standings.of(ctx.event)
            if self.broken and OWNER not in standing.proven:
                return False
            verdict = self._tables.plan(ctx.plugin, command, permission).decide(who, standing, None)
            allowed = verdict.answer is Ruling.YES and bool(permission)
            if verdict.answer is Ruling.PERHAPS or (verdict.answer is Ruling.NO and verdict.rule is not None):
                return False
            request = Request(
                plugin=ctx.plugin, command=command, permission=permission, user=user, room=who.room,
                roles=standing.proven, arguments=None,
            )  # fmt: skip
            said, _ = self._ask(request)
            return said is not False and (allowed or said is True)
        except ANYTHING:
            log.exception("a permission could not be decided", permission=permission)
            return False

    def roles_of(self, ctx: Context) -> frozenset[str]:
        """Return the roles of who set *ctx* off; only what everybody has when that cannot be told."""
        try:
            return self._standings.of(ctx.event)[2].proven
        except ANYTHING:
            log.exception("the roles could not be told")
            return NOBODY.proven

    # -- inside ---------------------------------------------------------------------------------

    def _decide(
        self, ctx: Context, handler: Handler, call: Callable[[], Any] | None
    ) -> Refusal | Verdict | None:
        """Return why not, or the verdict with what spoke for it, if anything did."""
        try:
            return self._judge(ctx, handler, call)
        except ANYTHING as exc:  # an error in a decision means no; nothing in it waits
            return _error(handler, exc)

    def _judge(
        self, ctx: Context, handler: Handler, call: Callable[[], Any] | None
    ) -> Refusal | Verdict | None:
        if not self.loaded:
            return Refusal(Say("gate.closed"), Say("why.closed"))
        if self.halted and (halt := self.halted.get(handler.key)) is not None:
            return Refusal(Say("gate.halted", {"name": handler.name}), halt.reason, Stage.SWITCH)
        room = getattr(ctx.event, "room", None)
        if (
            self.switches
            and room is not None
            and self.switches.is_off(str(room.ref), handler.plugin, handler.key)
        ):
            name = {"name": handler.name}
            return Refusal(Say("gate.off", name), Say("why.off", name), Stage.SWITCH)
        permission = handler.guards.permission
        plan = self._tables.plan(handler.plugin, handler.name, permission)
        if plan.idle and not self.vetoes and not self.broken:
            return None
        user, who, standing = self._standings.of(ctx.event)
        if self.broken and OWNER not in standing.proven:
            return Refusal(Say("gate.closed"), Say("why.broken", {"names": ", ".join(sorted(self.broken))}))
        arguments = arguments_of(call) if call is not None and (plan.by_argument or self.vetoes) else None
        if call is not None and arguments is None:
            arguments = {}
        verdict = plan.decide(who, standing, arguments)
        if verdict.rule is not None and verdict.answer is Ruling.NO:
            rule = {"id": verdict.rule.id, "rule": str(verdict.rule)}
            return Refusal(Say("gate.denied"), Say("why.rule", rule))
        allowed = verdict.answer is not Ruling.NO
        if self.vetoes:
            if call is None:
                return None  # they are asked once, when the arguments are known
            request = Request(
                plugin=handler.plugin, command=handler.name, permission=permission, user=user, room=who.room,
                roles=standing.proven, arguments=arguments,
            )  # fmt: skip
            said, plugin = self._ask(request)
            if said is False:
                return Refusal(Say("gate.denied"), Say("why.veto", {"plugin": plugin}))
            allowed = allowed or said is True
        needs = {"permission": permission}
        if allowed and not permission:
            return None
        if OWNER in standing.proven and allowed:
            return self._allowed(permission, OWNER)
        if verdict.answer is Ruling.PERHAPS and verdict.rule is None:
            return None  # what speaks for it is known when the arguments are
        if allowed:
            return self._allowed(permission, verdict.rule or "qqops_permission")
        return Refusal(Say("gate.needs", needs), Say("why.needs", needs))

    def _allowed(self, permission: str, by: Rule | str) -> Verdict:
        """Return the verdict that *by* allows *permission*; the same for everybody whom it does."""
        key = permission, by
        found = self._verdicts.get(key)
        if found is None:
            reason = Say("why.allowed", {"permission": permission, "by": str(by)})
            found = self._verdicts[key] = Verdict(Stage.PERMISSION, True, reason)
        return found

    def _ask(self, request: Request) -> tuple[bool | None, str]:
        """Ask every plugin; one no outweighs all else. Raises `PluginError` or `TypeError`."""
        said: bool | None = None
        for plugin, hook in self.vetoes:
            try:
                answer = hook(request)
            except ANYTHING as exc:
                raise PluginError(f"{plugin}: qqops_permission failed: {described(exc)}") from exc
            if answer is False:
                return False, plugin
            if answer is True:
                said = True
            elif answer is not None:
                raise TypeError(f"{plugin}: qqops_permission must return True, False or None, got {answer!r}")
        return said, ""

    def _charge(self, ctx: Context, handler: Handler) -> Sequence[str] | Say:
        """Return what one use holds until it ends, or why there is none; "" when that was told before."""
        limits = handler.guards.limits
        ready = self._standings.ready(ctx.event)
        if ready is None or (keys := ready.counted.get(handler)) is None:
            keys = [f"{PREFIX}{handler.key}/{i}/{_whose(ctx, one)}" for i, one in enumerate(limits)]
            if ready is not None:
                ready.counted[handler] = keys
        charged = self.limits.charge(limits, keys, self._clock.now().timestamp())
        if not isinstance(charged, Spent):
            return charged
        limit = charged.limit
        ctx.decided(Verdict(Stage.LIMITS, False, Say("why.limit", {"limit": _shown(limit)})))
        if not charged.tell:
            return ""
        if not charged.wait:
            return Say("gate.running", {"running": limit.running})
        return Say(
            "gate.limit", {"times": limit.times, "per": limit.per, "wait": max(1, round(charged.wait))}
        )

    def _told(self, ctx: Context, refusal: Refusal | None) -> Content | None:
        if refusal is None:
            return None
        ctx.decided(Verdict(refusal.stage, False, refusal.reason))
        return refusal.say


def _error(handler: Handler, exc: BaseException) -> Refusal:
    log.error("an error while deciding means no", handler=handler.key, exc_info=exc)
    return Refusal(Say("gate.error"), Say("why.error", {"error": described(exc)}))


def _whose(ctx: Context, limit: Limit) -> str:
    """Return whose uses *limit* counts together."""
    event = ctx.event
    if limit.key == "global" or event is None:
        return ""
    if limit.key == "user" and event.sender is not None:
        return str(event.sender.person)
    if limit.key in ("user", "room") and event.room is not None:
        return str(event.room.ref)
    return str(event.account)


def _shown(limit: Limit) -> str:
    parts = [f"{limit.times} in {limit.per:g} s"] if limit.times else []
    parts += [f"{limit.running} at the same time"] if limit.running else []
    return f"{limit.key}: {', '.join(parts)}"
