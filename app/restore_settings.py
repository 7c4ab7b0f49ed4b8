"""The settings of the folders that remain when the database is lost, and of how long versions are kept."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from app.presentation import PresentationSettings
from db.records.retention import DEFAULT_VERSIONS_DAYS


class RestoreSettings(PresentationSettings):
    """The settings of the folders outside the database: checkpoints and the journal."""

    checkpoints: Path | None = Field(
        None,
        description=(
            "The folder to which checkpoints are exported. When the gateway starts, the database must contain the"
            " newest of these checkpoints."
        ),
    )
    journal: Path | None = Field(
        None,
        description=(
            "The folder of the journal, a copy of objections, holds, deletions and their withdrawals outside the"
            " database. The value none turns the journal off."
        ),
    )
    versions_days: Annotated[int, Field(ge=30, le=36500)] = Field(
        DEFAULT_VERSIONS_DAYS,
        description="The number of days for which earlier versions of records are kept after they were replaced.",
    )
    journal_days: Annotated[int, Field(ge=1)] = Field(
        90, description="The number of days for which the files of the journal are kept."
    )
