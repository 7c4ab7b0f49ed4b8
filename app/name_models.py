"""GROUNDS_NAMES: the folders of the recognisers that look for names in texts."""

from pathlib import Path
from typing import Annotated, Final

from pydantic import BeforeValidator, Field
from pydantic_settings import NoDecode

from app.restore_settings import RestoreSettings
from db.deidentification.names import ANY_LANGUAGE, NameRecogniser, RecogniserFailed

_EXAMPLE: Final = (
    "must be the folder of a spaCy pipeline, or a list of languages with their folders (write /srv/models/names, or"
    " de=/srv/models/de,fr=/srv/models/fr)"
)


def _parse_name_models(value: object) -> object:
    """Parse GROUNDS_NAMES: a folder for all languages, or one for each language."""
    if not isinstance(value, str):
        return value
    models: dict[str, Path] = {}
    for part in value.split(","):
        language, _, folder = part.strip().rpartition("=")
        name = language.lower() or ANY_LANGUAGE
        if name in models or not folder or not (name == ANY_LANGUAGE or (name.isascii() and name.isalpha())):
            raise ValueError(_EXAMPLE)
        if not (Path(folder) / "config.cfg").is_file():
            raise ValueError(f"{folder} is not the folder of a spaCy pipeline: it has no file config.cfg ({_EXAMPLE})")
        models[name] = Path(folder).absolute()
    return models


class NameSettings(RestoreSettings):
    """The setting of the recognisers of names, and of the folders outside the database."""

    names: Annotated[dict[str, Path], NoDecode, BeforeValidator(_parse_name_models)] = Field(
        {}, description="The folder of the spaCy pipeline that looks for names in texts, or one per language."
    )

    def name_models_fault(self) -> str | None:
        """Return why a recogniser of names that GROUNDS_NAMES states cannot be loaded; None if all can."""
        try:
            NameRecogniser(self.names).load()
        except RecogniserFailed as failed:
            return (
                f"GROUNDS_NAMES: cannot load {failed} (start with ./run --with pii, or install grounds[pii]; the"
                " pipeline must be made for the installed version of spaCy)"
            )
        return None
