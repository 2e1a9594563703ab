"""Records that a hook has made by hand and that nobody could use take their plugin out, and no other."""

import attrs
import pytest

from qqops import Message, Plugin
from qqops.plugin import _records
from qqops.plugin.hooks import hookimpl
from qqops.plugin.host import Candidate, Host, PluginState
from qqops.runtime.agenda import every
from qqops.runtime.outgoing import Outgoing
from qqops.runtime.registry import Command, Filter, Handler, Job, Listener, Mode, Registry
from qqops.runtime.storage.upgrade import Migration
from qqops.runtime.tasks import Restart, Task

HANDLER = Handler(
    plugin="hand", name="x", where="f:1", mode=Mode.ASYNC, prepare=lambda ctx, source: lambda: None
)
COMMAND = Command(path=("x",), aliases=(), handler=HANDLER, summary="", usage="")
LISTENER = Listener(event=Message, handler=HANDLER)
FILTER = Filter(plugin="hand", name="x", where="f:1", order=0, call=print)
OUTGOING = Outgoing(plugin="hand", name="x", where="f:1", order=0, call=lambda draft: draft)
JOB = Job(name="x", schedule=every(5), handler=HANDLER)
TASK = Task(plugin="hand", name="x", where="f:1", restart=Restart.NEVER, needs=(), call=print)


def of(hook, record):
    """Return a plugin whose *hook* returns *record*."""

    def collect(self, build):
        return [record]

    def collect_alone(self):
        return [record]

    function = collect_alone if hook in ("migrations", "config") else collect
    return type("Hooks", (), {f"qqops_{hook}": hookimpl(function)})()


@pytest.mark.parametrize(
    ("hook", "record"),
    [
        ("commands", COMMAND), ("listeners", LISTENER), ("filters", FILTER), ("outgoing", OUTGOING), ("jobs", JOB),
        ("tasks", TASK),
    ],
)  # fmt: skip
def test_what_is_made_right_is_loaded(hook, record):
    host = Host(Registry(), {}, version="0.1.0")
    report = host.load(Candidate(name="hand", load=lambda: of(hook, record)))
    assert report.state is PluginState.LOADED, report.reason


@pytest.mark.parametrize(
    ("hook", "record", "said"),
    [
        ("commands", attrs.evolve(COMMAND, aliases=None), "Command.aliases must be tuple, not NoneType"),
        ("commands", attrs.evolve(COMMAND, path="x"), "Command.path must be tuple, not str"),
        ("commands", attrs.evolve(COMMAND, path=()), "the words of a Command must be texts that are not empty, got () and ()"),
        ("commands", attrs.evolve(COMMAND, path=(5,)), "got (5,) and ()"),
        ("commands", attrs.evolve(COMMAND, handler=None), "Command.handler must be Handler, not NoneType"),
        ("commands", attrs.evolve(COMMAND, handler=attrs.evolve(HANDLER, prepare=None)), "Handler.prepare must be a function"),
        ("commands", attrs.evolve(COMMAND, handler=attrs.evolve(HANDLER, plugin="good")),
         "Handler is declared for 'good', and must be for build.plugin, which is 'hand'"),
        ("listeners", attrs.evolve(LISTENER, event=None), "Listener.event must be type, not NoneType"),
        ("listeners", attrs.evolve(LISTENER, event=int), "Listener.event must be the class of an event, not int"),
        ("listeners", attrs.evolve(LISTENER, priority="x"), "Listener.priority must be int, not str"),
        ("filters", attrs.evolve(FILTER, order="x"), "Filter.order must be int, not str"),
        ("filters", attrs.evolve(FILTER, plugin="good"), "Filter is declared for 'good'"),
        ("outgoing", attrs.evolve(OUTGOING, call=None), "Outgoing.call must be a function"),
        ("jobs", attrs.evolve(JOB, schedule=None), "Job.schedule must be Cron or Every or Once, not NoneType"),
        ("jobs", attrs.evolve(JOB, overlap="skip"), "Job.overlap must be Overlap, not str"),
        ("tasks", attrs.evolve(TASK, needs=None), "Task.needs must be tuple, not NoneType"),
        ("tasks", attrs.evolve(TASK, plugin="good"), "Task is declared for 'good'"),
        ("migrations", Migration("1", print, ""), "Migration.number must be int, not str"),
        ("config", int, "int must be an attrs class"),
    ],
)  # fmt: skip
async def test_what_nobody_could_use_takes_out_its_plugin_alone(bots, hook, record, said):
    good = Plugin("good")

    @good.command("hello")
    async def hello() -> str:
        return "hello"

    async with bots.run(good) as bot:
        report = bot.app.host.load(Candidate(name="hand", load=lambda: of(hook, record)))
        assert report.state is PluginState.SKIPPED
        assert report.reason == f"qqops_{hook}(): {said}" or said in report.reason
        assert report.where.startswith(f"{__file__}:")
        bot.app.refresh()
        await bot.user("ali").say("/hello")
        await bot.user("ali").expect("hello")


def test_every_attribute_that_is_looked_at_is_there():
    for kind, names in [*_records._SHAPES.items(), *((k, (n,)) for k, n in _records._CALLED.items())]:
        assert set(names) <= {one.name for one in attrs.fields(kind)}
