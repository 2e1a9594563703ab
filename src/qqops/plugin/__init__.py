"""What plugin authors use, and the host that loads what they wrote."""

from qqops.plugin._converter import Conversion
from qqops.plugin._values import Json, Quote, Url
from qqops.plugin.convert import Rest
from qqops.plugin.hooks import Build, hookimpl
from qqops.plugin.plugin import Group, Plugin
from qqops.plugin.signature import Arg, Opt

__all__ = [
    "Arg",
    "Build",
    "Conversion",
    "Group",
    "Json",
    "Opt",
    "Plugin",
    "Quote",
    "Rest",
    "Url",
    "hookimpl",
]
