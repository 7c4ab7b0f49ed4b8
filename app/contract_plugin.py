"""A pytest plugin: one test for each operation of a consumer, against a committed SDL or a running gateway.

A test module says `test_contract = grounds_contract("operations/", schema="schema.graphql")`; paths start at pytest's
root folder. It needs no database.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from schema.contracts import Finding

_CONTRACT = "grounds_contract"
_ARGUMENT = "grounds_findings"


@dataclass(frozen=True, slots=True)
class _Contract:
    operations: tuple[str, ...]
    schema: str | None
    client: str | None
    role: str | None
    strict: bool


def grounds_contract(
    *operations: str,
    schema: str | None = None,
    client: str | None = None,
    role: str | None = None,
    strict: bool = False,
) -> Callable[..., None]:
    """Make a test of operations, .graphql files or folders; the options are those of `grounds contract check`.

    Without `schema`, it is the one that the installed version serves. What is deprecated or over a limit is a warning,
    and fails the test when it is `strict`.
    """

    def test_contract(grounds_findings: "list[Finding]") -> None:
        from app.contract_report import fails, told

        text = "\n".join(told(each) for each in grounds_findings)
        if fails(grounds_findings, strict=strict):
            pytest.fail(text, pytrace=False)
        if text:
            warnings.warn(text, UserWarning, stacklevel=1)

    setattr(test_contract, _CONTRACT, _Contract(operations or ("operations",), schema, client, role, strict))
    return test_contract


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one test an operation; what cannot be read is an error of the collection."""
    contract: Any = getattr(metafunc.function, _CONTRACT, None)
    if not isinstance(contract, _Contract):
        return
    from app.contract import ContractError

    try:
        found = _findings(contract, metafunc.config.rootpath)
    except (ContractError, ValueError) as error:
        pytest.fail(f"grounds_contract: {error}", pytrace=False)
    metafunc.parametrize(_ARGUMENT, [findings for _, findings in found], ids=[name for name, _ in found])


def _findings(contract: _Contract, root: Path) -> "list[tuple[str, list[Finding]]]":
    """Check every operation; give what was found by consumer, file and name."""
    from app.contract import ContractError, is_url, read_operations, read_schema
    from schema.actor import Role
    from schema.contracts import check

    role = Role(contract.role) if contract.role else None
    name = contract.schema
    if name is not None and not is_url(name):
        name = str(root / name)
    elif name is not None and role is not None:
        raise ContractError("role: introspection does not tell who reads what (name an SDL file)")
    schema = read_schema(name)
    operations = read_operations([root / place for place in contract.operations], contract.client)
    return [(f"{each.consumer}/{Path(each.file).stem}/{each.name}", check(schema, each, role)) for each in operations]
