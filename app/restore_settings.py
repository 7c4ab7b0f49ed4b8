"""The settings of what outlives the loss of the database."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from app.presentation import PresentationSettings


class RestoreSettings(PresentationSettings):
    """The settings of the folders outside the database: checkpoints and the journal."""

    checkpoints: Path | None = Field(
        None,
        description=(
            "The folder to which checkpoints are exported. At the start, the database must contain the newest of "
            "these checkpoints."
        ),
    )
    journal: Path | None = Field(
        None,
        description=(
            "The folder of the journal, in which objections, holds, deletions and what takes them back outlive the"
            " database. The value none ends the journal."
        ),
    )
    journal_days: Annotated[int, Field(ge=1)] = Field(
        90, description="The number of days for which the files of the journal are kept."
    )
