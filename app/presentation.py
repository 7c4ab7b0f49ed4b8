"""The settings with which an operator changes the look and the texts of pages."""

import re
from pathlib import Path
from typing import Final, Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings

_COLOUR: Final = re.compile(r"#[0-9a-fA-F]{6}")
_MIN_CONTRAST: Final = 4.5  # of text, as WCAG 2.2 asks for (1.4.3)
LOGO_TYPES: Final = {".svg": "image/svg+xml", ".png": "image/png", ".webp": "image/webp"}


class PresentationSettings(BaseSettings):
    """The settings of the public page and of the pages for data subjects."""

    texts: Path | None = Field(
        None, description="The folder with texts that replace the texts of pages and notices, or add a language."
    )
    site_name: str | None = Field(
        None,
        min_length=1,
        max_length=80,
        description="The name at the top of the pages for people. Default: the name of the policy's controller.",
    )
    logo: Path | None = Field(
        None, description="The file with the logo at the top of the pages for people: SVG, PNG or WebP."
    )
    colour: str | None = Field(
        None, description="The colour of links and buttons on the pages for people, such as #0b4fa8."
    )

    @model_validator(mode="after")
    def _presentation_is_legible(self) -> Self:
        """Refuse settings of the pages for people whose logo is no picture or whose colour cannot be read on white."""
        if self.logo is not None and self.logo.suffix.lower() not in LOGO_TYPES:
            raise ValueError("GROUNDS_LOGO: must be a picture (name a file that ends in .svg, .png or .webp)")
        if self.colour is not None and not _COLOUR.fullmatch(self.colour):
            raise ValueError("GROUNDS_COLOUR: must be a colour (write # and six hexadecimal digits, such as #0b4fa8)")
        if self.colour is not None and _contrast_with_white(self.colour) < _MIN_CONTRAST:
            raise ValueError(
                f"GROUNDS_COLOUR: has a contrast with white of less than {_MIN_CONTRAST} (choose a darker colour)"
            )
        return self


def _contrast_with_white(colour: str) -> float:
    """Compute the contrast of a colour of the pages for people with white (WCAG 2.2)."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 1.05 / (0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] + 0.05)
