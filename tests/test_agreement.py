import pytest
from tests.agreement import compare, enforce, explain, load, reading
from tests.gateway import TestGateway
from tests.worlds import make_batch


@pytest.mark.parametrize("seed", range(1000, 1060))
async def test_agree(gateway: TestGateway, seed: int) -> None:
    batch = make_batch(seed, 40)
    enforce(gateway, batch)
    oracle, found = await load(gateway, batch)
    with reading(gateway) as connection:
        decided, more = compare(gateway, connection, oracle, batch.instants)
    found += more
    print(decided, len(found))
    if found:
        raise AssertionError(await explain(gateway, batch, found))
