"""Find blocks of code in the documents by the name in the comment before them: `<!-- name: pull -->`."""

import re

from tests.support.repository import ROOT


def block(document: str, name: str) -> str:
    """Return the text of a named block of a document; `document` is its path in the checkout."""
    text = (ROOT / document).read_text(encoding="utf-8")
    found = re.findall(rf"<!-- name: {re.escape(name)} -->\n```\w*\n(.*?)```", text, re.DOTALL)
    assert len(found) == 1, f"{document} has {len(found)} blocks named {name!r}"
    return str(found[0])
