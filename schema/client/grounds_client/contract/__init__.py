"""Contract checks: do operations still work with a schema, and which consumers does a change of the schema affect?"""

from grounds_client.contract.pytest_tests import grounds_contract

__all__ = ["grounds_contract"]
