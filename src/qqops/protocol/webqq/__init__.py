"""WebQQ without I/O: both generations as data, login as generators, everything else as functions.

Wire facts are described in ``docs/en/reference/protocols/webqq.md``; section numbers in this package's
docstrings (``webqq.md §4.2``) mean that page.
"""
