"""The commands `grounds schema export`, `records` and `visibility`."""

import typer

schema_commands = typer.Typer(
    no_args_is_help=True, help="Print the GraphQL schema, its access rules, and the schema of facts."
)


@schema_commands.command("export")
def schema_export_command() -> None:
    """Print the schema in the GraphQL schema definition language."""
    from schema.build import build_schema

    print(build_schema().as_str())


@schema_commands.command("records")
def schema_records_command() -> None:
    """Print the JSON Schema of the records that `grounds ingest` loads."""
    from json import dumps

    from db.ingest.records import records_schema

    print(dumps(records_schema(), indent=2, ensure_ascii=False))


@schema_commands.command("visibility")
def schema_visibility_command() -> None:
    """Print a Markdown table of the roles that may read each field."""
    from schema.build import build_schema
    from schema.visibility import visibility_table

    print(visibility_table(build_schema().core))
