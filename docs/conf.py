"""The documentation site: `make docs` builds it in docs/_build."""

from __future__ import annotations

from sphinx.application import Sphinx

from retro_gamer.version import __version__

project = "retro-gamer"
author = "retro-gamer contributors"
release = __version__

extensions = ["myst_parser"]
exclude_patterns = ["_build"]
myst_heading_anchors = 4  # pages link to headings, as a reader on a code host can

html_theme = "furo"
html_title = f"retro-gamer {release}"
html_copy_source = False


def link_pages_outside(app: Sphinx, name: str, source: list[str]) -> None:
    """Turn a link that is right on a code host, out of this folder, into one to the page that includes its target."""
    source[0] = source[0].replace("](../benchmarks/README.md", "](benchmarks.md")


def setup(app: Sphinx) -> None:
    """Add the step above to the build."""
    app.connect("source-read", link_pages_outside)
