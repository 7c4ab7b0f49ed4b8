"""A record's fields stand once: the stages are made of the models, and fit the tables."""

from db.ingest.records import MODELS
from db.ingest.stages import STAGES
from tests.support.gateway import TestGateway


def test_every_field_of_a_record_is_staged() -> None:
    for record, stage in STAGES.items():
        fields = MODELS[record].model_fields.keys() - {"record", "id", "observed_at"}
        assert fields == {*stage.fields, *stage.made_of}, record
        assert stage.stored, record


async def test_a_stage_has_the_columns_and_types_of_its_table(gateway: TestGateway) -> None:
    for record, stage in STAGES.items():
        found: dict[str, str] = dict(
            gateway.execute(
                "SELECT attname, format_type(atttypid, NULL) FROM pg_attribute"
                f" WHERE attrelid = 'grounds.{record}'::regclass AND attnum > 0"
            )
        )
        short = {"timestamp with time zone": "timestamptz"}
        stored = {column: short.get(found[column], found[column]) for column in stage.stored}
        if "account" in stored:
            assert stored.pop("account") == "bigint", "our own id stands for the platform's"
        assert stored == {column: stage.columns[column] for column in stored}, record
