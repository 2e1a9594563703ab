"""What plugin authors use, and the host that loads what they wrote."""

from qqops.plugin.convert import Rest
from qqops.plugin.hooks import Build, hookimpl
from qqops.plugin.plugin import Group, Plugin
from qqops.plugin.signature import Arg, Opt

__all__ = ["Arg", "Build", "Group", "Opt", "Plugin", "Rest", "hookimpl"]
