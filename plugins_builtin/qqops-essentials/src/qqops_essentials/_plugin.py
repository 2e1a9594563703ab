"""The plugin that all modules of the essentials declare their commands with."""

from __future__ import annotations

from qqops import Plugin

plugin = Plugin("essentials")
