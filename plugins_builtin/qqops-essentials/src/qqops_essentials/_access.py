"""Commands about who may do what: roles, rules, switches, and why something did or did not happen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, TypeVar

from qqops import Access, Arg, At, ConfigError, Ctx, Decision, Plugin, Refuse, Rooms
from qqops_essentials._text import say

#: Rules, changes and members on one page.
PAGE = 15

T = TypeVar("T")

Role = Annotated[str, Arg(help="name of the role / 角色名")]
Person = Annotated[
    str, Arg(help="@somebody, me, a number, or network:account/id / @某人、me、号码或完整地址")
]


def declare(plugin: Plugin) -> None:
    """Declare these commands for *plugin*."""
    plugin.command("owner", aliases=("认领",), inline=True)(owner)
    roles, rules = plugin.group("role"), plugin.group("rule")
    roles.command("grant", permission="access.roles", effects=True, inline=True)(role_grant)
    roles.command("revoke", permission="access.roles", effects=True, inline=True)(role_revoke)
    roles.command("list", permission="access.roles", inline=True)(role_list)
    rules.command("add", permission="access.rules", effects=True, inline=True)(rule_add)
    rules.command("remove", permission="access.rules", effects=True, inline=True)(rule_remove)
    rules.command("list", permission="access.rules", inline=True)(rule_list)
    rules.command("history", permission="access.rules", inline=True)(rule_history)
    commands = plugin.group("command")
    commands.command("on", permission="access.switches", effects=True, inline=True)(command_on)
    commands.command("off", permission="access.switches", effects=True, inline=True)(command_off)
    plugin.command("why", aliases=("为什么",), inline=True)(why)


def owner(ctx: Ctx, code: str, *, access: Access) -> str:
    """Become the owner of a new bot, by the code in its log. / 凭日志中的代码认领新机器人。"""
    if not access.claim(ctx, code):
        raise Refuse(say(ctx, "no_owner"))
    return say(ctx, "owner", name=ctx.sender.name)


def role_grant(ctx: Ctx, role: Role, person: Person, *, access: Access) -> str:
    """Give somebody a role. / 授予角色。"""
    address = _address(ctx, person)
    done = _tried(ctx, lambda: access.grant(ctx, role, address))
    return say(ctx, "granted" if done else "had_role", role=role, person=address)


def role_revoke(ctx: Ctx, role: Role, person: Person, *, access: Access) -> str:
    """Take a role from somebody. / 收回角色。"""
    address = _address(ctx, person)
    done = _tried(ctx, lambda: access.revoke(ctx, role, address))
    return say(ctx, "revoked" if done else "had_no_role", role=role, person=address)


def role_list(ctx: Ctx, *, access: Access) -> str:
    """List the roles, who has them, and your own. / 列出角色及成员，以及你自己的角色。"""
    lines = [f"{role}: {', '.join(people) or '-'}" for role, people in access.roles().items()]
    return "\n".join([*_cut(ctx, lines), say(ctx, "your_roles", roles=", ".join(sorted(ctx.roles)))])


def rule_add(ctx: Ctx, effect: str, *parts: str, access: Access, rooms: Rooms) -> str:
    """Add a rule: allow or deny, then what it is about. / 添加规则：allow 或 deny，然后是条件。

    As `/rule add deny role=dev command=deploy env=prod`; room=here is this room.
    """
    return say(ctx, "rule_added", rule=_rule(ctx, effect, parts, access, rooms))


def rule_remove(ctx: Ctx, rule: str, *, access: Access) -> str:
    """Remove a rule by its id. / 按编号删除规则。"""
    if not _tried(ctx, lambda: access.remove_rule(ctx, rule)):
        raise Refuse(say(ctx, "no_rule", rule=rule))
    return say(ctx, "rule_removed", rule=rule)


def rule_list(ctx: Ctx, *, page: int = 1, access: Access) -> str:
    """List the rules. / 列出规则。"""
    lines = [say(ctx, "broken", name=name) for name in access.broken]
    lines += [f"{rule.id}: {rule}" for rule in access.rules()]
    return "\n".join(_cut(ctx, lines, page)) or say(ctx, "no_rules")


def rule_history(ctx: Ctx, *, page: int = 1, access: Access) -> str:
    """Say who changed roles, rules and switches, when, and how. / 查看谁在何时如何改动了角色、规则和开关。"""
    lines = [
        f"{one.at[:19]} {one.by}: {one.what}: {one.old or '-'} → {one.new or '-'}" for one in access.history()
    ]
    return "\n".join(_cut(ctx, lines, page)) or say(ctx, "no_changes")


def command_on(ctx: Ctx, *name: str, access: Access) -> str:
    """Switch a command on in this room. / 在此房间启用命令。"""
    _tried(ctx, lambda: access.turn_command(ctx, " ".join(name), True))
    return say(ctx, "is_on", name=" ".join(name))


def command_off(ctx: Ctx, *name: str, access: Access) -> str:
    """Switch a command off in this room. / 在此房间停用命令。"""
    _tried(ctx, lambda: access.turn_command(ctx, " ".join(name), False))
    return say(ctx, "is_off", name=" ".join(name))


def why(ctx: Ctx, what: str = "", *, access: Access) -> str:
    """Say what each stage decided about the quoted message, your last one, a run (#0041), a message's id, or a job. / 说明各阶段对引用的消息、你的上一条消息、某次运行（#0041）、某个消息 id 或任务的判断。"""
    found = access.why_message(ctx)
    if what:
        found = access.why_id(what) or access.why_job(what)
    if any(one.person != ctx.sender.ref for one in found) and not ctx.may("access.why"):
        raise Refuse(say(ctx, "why_not_yours"))
    silent = [] if what else _not_asked(ctx, access, found)
    if not found and not silent:
        raise Refuse(say(ctx, "nothing_known"))
    head = f"“{found[0].text}”\n" if found and found[0].text else ""
    return head + "\n".join([*(_explain(ctx, one) for one in found), *silent])


def _not_asked(ctx: Ctx, access: Access, found: Sequence[Decision]) -> list[str]:
    """Return a line for each listener that a message could not set off; the quoted one is known by what was *found*."""
    quoted = ctx.message.reply_to is not None
    return [
        say(ctx, "not_asked", name=name, reason=ctx.render(halt.reason))
        for name, halt in access.not_asked(ctx)
        if not (quoted and found and found[0].at < halt.since)
    ]


def _explain(ctx: Ctx, one: Decision) -> str:
    reason = ctx.render(one.reason) if one.reason is not None else ""
    if one.result is None:
        return reason
    words = say(ctx, f"was_{one.result.value}")
    head = f"{one.handler} #{one.run}: {words}" + (f" – {reason}" if reason else "")
    return f"{head}\n{one.stages(ctx.render)}"


def _rule(ctx: Ctx, effect: str, parts: tuple[str, ...], access: Access, rooms: Rooms) -> str:
    full = [_full(ctx, part, rooms) for part in parts]
    rule = _tried(ctx, lambda: access.add_rule(ctx, effect, full))
    return f"{rule.id}: {rule}"


def _full(ctx: Ctx, part: str, rooms: Rooms) -> str:
    """Return a part of a rule with the address of the person or room that it names."""
    name, equals, value = part.partition("=")
    if equals and name == "user":
        return f"user={_address(ctx, value)}"
    if equals and name == "room" and value == "here":
        return f"room={ctx.room.ref}"
    if equals and name == "room" and (room := rooms.find(value)) is not None:
        return f"room={room.ref}"
    return part


def _address(ctx: Ctx, text: str) -> str:
    """Return the address of the person that *text* means."""
    if text == "me":
        return str(ctx.sender.proven)
    if text.startswith(("@", "＠")):
        mentioned = {at.person for at in _mentions(ctx) if text[1:] in (at.name, at.person.id)}
        if len(mentioned) != 1:
            raise Refuse(say(ctx, "no_person", text=text))
        return str(mentioned.pop())
    return text if ":" in text else f"{ctx.account}/{text}"


def _tried(ctx: Ctx, change: Callable[[], T]) -> T:
    try:
        return change()
    except ConfigError as exc:
        raise Refuse(say(ctx, "not_done", reason=str(exc))) from None


def _mentions(ctx: Ctx) -> Iterator[At]:
    return (segment for segment in ctx.message.segments if isinstance(segment, At))


def _cut(ctx: Ctx, lines: list[str], page: int = 1) -> list[str]:
    """Return one page of *lines*, and which one it is when there are more."""
    pages = max(1, -(-len(lines) // PAGE))
    if not 1 <= page <= pages:
        raise Refuse(say(ctx, "no_page", pages=pages))
    more = [say(ctx, "page_of", page=page, pages=pages)] if pages > 1 else []
    return [*lines[(page - 1) * PAGE : page * PAGE], *more]
