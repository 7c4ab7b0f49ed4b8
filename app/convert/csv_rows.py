"""Convert the rows of a CSV file to facts, by a mapping that names the column of each field.

A mapping is a JSON object: `record` is the type of the records, and `fields` says of each field where it comes from.
"""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from app.convert.left_out import LeftOut
from db.ingest.contacts import contact_hash
from db.ingest.records import MODELS


class MappingError(Exception):
    """The fault of a mapping, and what to do."""


class _Source(BaseModel):
    """The source of a field: a column, or the same value in each record."""

    model_config = ConfigDict(extra="forbid")

    column: str | None = None
    values: dict[str, JsonValue] | None = None
    """The meaning of each text that a cell can contain. A row with any other text is left out."""
    json_cell: bool = Field(False, alias="json")
    contact: bool = False
    """Whether the cell contains an address. If so, the fact contains a list with the SHA-256 of the address."""
    value: JsonValue = None

    @model_validator(mode="after")
    def _is_one(self) -> "_Source":
        """Refuse a CSV mapping in which the source of a field is both a column and a value."""
        if self.column is not None and "value" in self.model_fields_set:
            raise ValueError("must have either `column` or `value`, not both")
        return self


class CsvMapping(BaseModel):
    """A mapping of the columns of a CSV file to the fields of a record."""

    model_config = ConfigDict(extra="forbid")

    record: str
    fields: dict[str, _Source]

    @model_validator(mode="after")
    def _is_known(self) -> "CsvMapping":
        """Refuse a mapping to a record or a field that does not exist."""
        if self.record not in MODELS:
            raise ValueError(f"record: must be one of {', '.join(MODELS)}")
        unknown = self.fields.keys() - MODELS[self.record].model_fields.keys()
        if unknown:
            raise ValueError(f"fields: {', '.join(sorted(unknown))}: is not a field of {self.record}")
        return self


def read_mapping(text: str) -> CsvMapping:
    """Read a mapping of CSV columns. Raises MappingError."""
    try:
        return CsvMapping.model_validate_json(text)
    except ValidationError as error:
        faults = [
            ": ".join([*map(str, fault["loc"]), fault["msg"].removeprefix("Value error, ")])
            for fault in error.errors(include_url=False, include_input=False, include_context=False)
        ]
        raise MappingError("; ".join(faults)) from None


def csv_records(lines: Iterable[str], mapping: CsvMapping, left_out: LeftOut) -> Iterator[dict[str, Any]]:
    """Yield a record for each row of a CSV file. Raises MappingError for a file that lacks a column."""
    reader = csv.DictReader(lines, strict=True)
    named = reader.fieldnames or ()
    wanted = {source.column for source in mapping.fields.values() if source.column is not None}
    if missing := sorted(wanted - set(named)):
        raise MappingError(f"the file has no column {', '.join(missing)} (correct the mapping, or the header)")
    for column in named:
        if column not in wanted:
            left_out.note(f"column {column} (the mapping does not use this column)")
    try:
        for row in reader:
            try:
                yield _record_of_row(row, mapping)
            except ValueError as fault:
                left_out.fault(f"row at line {reader.line_num}: {fault}")
    except csv.Error:
        raise MappingError(f"line {reader.line_num}: is not valid CSV (check the quotes)") from None


def _record_of_row(row: Mapping[str, Any], mapping: CsvMapping) -> dict[str, Any]:
    """Make the record of a row of a CSV file; a ValueError names the column that cannot be read."""
    if None in row or None in row.values():
        raise ValueError("has a different number of cells than the header")
    fields = {name: _value(row, source) for name, source in mapping.fields.items()}
    return {"record": mapping.record} | fields


def _value(row: Mapping[str, str], source: _Source) -> JsonValue:
    """Read the value of a field from a row of a CSV file; an empty cell is null, or an empty list of contacts."""
    if source.column is None:
        return source.value
    cell = row[source.column].strip()
    if source.values is not None:
        if cell not in source.values:
            raise ValueError(f"{source.column} has a value that the mapping does not list")
        return source.values[cell]
    if source.contact:
        found = contact_hash(cell)
        if cell and found is None:
            raise ValueError(f"{source.column} is not an e-mail address, a phone number or a user name")
        return [found] if found else []
    if not cell:
        return None
    if not source.json_cell:
        return cell
    try:
        value: JsonValue = json.loads(cell)
    except ValueError:
        raise ValueError(f"{source.column} is not JSON") from None
    return value
