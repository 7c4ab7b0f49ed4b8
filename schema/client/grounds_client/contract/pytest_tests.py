"""Tests for pytest: one for each operation of a consumer, against a committed SDL file or a running gateway.

It is no plugin: pytest collects a class that has `__test__`, and asks the class for the parameters of its tests.
"""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    import pytest

    from grounds_client.contract.compatibility import Finding


@dataclass(frozen=True, slots=True)
class _Contract:
    operations: tuple[str, ...]
    schema: str
    client: str | None
    role: str | None
    strict: bool


class ContractTests:
    """One test per operation of the contract that a subclass names."""

    contract: ClassVar[_Contract]

    def pytest_generate_tests(self, metafunc: "pytest.Metafunc") -> None:
        """Make a consumer's contract test per operation; a failed read is an error of the collection."""
        import pytest  # of the extra `contract`, which the rest of this package does not need

        from grounds_client.contract.commands import checked_operations
        from grounds_client.contract.loader import ContractError, is_url

        root, contract = metafunc.config.rootpath, self.contract
        schema = contract.schema if is_url(contract.schema) else str(root / contract.schema)
        places = [root / place for place in contract.operations]
        try:
            found = checked_operations(places, schema, contract.client, contract.role)
        except ContractError as error:
            pytest.fail(f"grounds_contract: {error}", pytrace=False)
        names = [f"{each.consumer}/{Path(each.file).stem}/{each.name}" for each, _ in found]
        metafunc.parametrize("findings", [findings for _, findings in found], ids=names)

    def test_operation(self, findings: "list[Finding]") -> None:
        """Fail the contract test of an operation that would fail; otherwise warn of its findings."""
        import pytest

        from grounds_client.contract.report import finding_line, is_failing

        text = "\n".join(finding_line(each) for each in findings)
        if is_failing(findings, strict=self.contract.strict):
            pytest.fail(text, pytrace=False)
        if text:
            warnings.warn(text, UserWarning, stacklevel=1)


def grounds_contract(
    *operations: str, schema: str, client: str | None = None, role: str | None = None, strict: bool = False
) -> type[ContractTests]:
    """Return contract tests for a consumer's test module: `test_contract = grounds_contract(...)`.

    `operations` are .graphql files or folders, `operations/` by default; `schema` is an SDL file or the URL of a
    gateway; relative paths start at pytest's root folder. The other options are those of `grounds-client contract
    check`. A finding that does not fail an operation is a warning, and with `strict` a failure.
    """
    contract = _Contract(operations or ("operations",), schema, client, role, strict)
    return type("ContractTests", (ContractTests,), {"__test__": True, "contract": contract})
