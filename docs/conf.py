"""One Sphinx project, two trees: ``sphinx-build -c docs -D language=en docs/en OUT`` (or zh_CN and docs/zh)."""

project = "qqops"
author = "The qqops maintainers"
copyright = "2026, the qqops maintainers"  # noqa: A001 - Sphinx's name
extensions = ["myst_parser", "sphinx_copybutton"]
html_theme = "furo"
html_title = "qqops"
exclude_patterns = ["_build"]
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]
# Chat lines and settings are not language that a highlighter knows.
highlight_language = "none"
# The protocol page shows JSON with an ellipsis where the sources had more.
suppress_warnings = ["misc.highlighting_failure"]
