"""The README of app tells the truth: it names every setting, and no other."""

import re

from app.settings import Settings
from tests.support.repository import ROOT


def test_it_names_every_setting_and_no_other() -> None:
    readme = (ROOT / "app" / "README.md").read_text(encoding="utf-8")
    names = {str(field.validation_alias or f"GROUNDS_{name.upper()}") for name, field in Settings.model_fields.items()}
    assert set(re.findall(r"^\| `([A-Z_]+)` \|", readme, re.MULTILINE)) == names
