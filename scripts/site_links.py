"""A hook of MkDocs: links from docs/ to files elsewhere in the repository.

A page links to `../rate-cards/examples`, which works where the repository is shown. On the
site it leads to that file's page at `repo_url`. A file that is missing fails the build.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parent.parent
# The target of a link or a picture, up to what stands behind # or a title.
OUTSIDE = re.compile(r"(?<=\]\()\.\./([^)#\s]*)")
log = logging.getLogger("mkdocs.hooks.site_links")


def on_page_markdown(markdown: str, *, page: Any, config: Any, **_: Any) -> str:
    def elsewhere(found: re.Match[str]) -> str:
        path = found[1].rstrip("/")
        if not (REPO / path).exists():
            log.warning("%s links to %s, which is not there", page.file.src_uri, found[0])
        kind = "tree" if (REPO / path).is_dir() else "blob"
        return f"{config.repo_url.rstrip('/')}/{kind}/main/{path}"

    return OUTSIDE.sub(elsewhere, markdown)
