"""Lines of keys: whatever stands around them, TOML's own parser has the same keys."""

import tomllib

from qqops._lines import lines_of

TEXT = """\
# a comment = 1
schema = 1
[bot] # more
prefixes = [
  "[x]", # not = a table
  "y = 1",
]
text = \"\"\"
[no.table]
no = 1 \\\"\"\"
\"\"\"
literal = '''
no = 2'''
language = 'zh'

[ "rooms" . ops ]
"flag set" = 5
a.b = 1
[roles]
"room.admin" = []
link = { retry = 5, deep = { x = [
  1] } }
last = 1
"""


def test_each_key_has_the_line_on_which_it_stands():
    tomllib.loads(TEXT)
    lines = lines_of(TEXT)
    assert lines.tables == {"bot": 3, "rooms.ops": 16, "roles": 19}
    assert lines.keys == {
        "schema": 2, "bot.prefixes": 4, "bot.text": 8, "bot.literal": 12, "bot.language": 14,
        "rooms.ops.flag set": 17, "rooms.ops.a.b": 18, "roles.room.admin": 20, "roles.link": 21, "roles.last": 23,
    }  # fmt: skip


def test_what_has_no_line_of_its_own_has_that_of_what_holds_it_or_of_what_it_holds():
    lines = lines_of(TEXT)
    assert lines.line("roles.link.deep.x") == 21
    assert lines.line("rooms") == 16
    assert lines.line("rooms.ops.a") == 18
    assert lines.line("bot.nothing") == 0
    assert lines.line("nothing") == 0
