"""The account that the suite gives of its mutants: each one, and what killed it, printed at the end of a run."""

from collections.abc import Callable, Iterable, Iterator

import pytest

Killed = Callable[[str, str, str | None], None]
_PROPERTY = "mutant"
_WIDTH = 160


@pytest.fixture
def killed(record_property: Callable[[str, object], None]) -> Killed:
    """Note a mutant: its name, where it is, and what noticed it; one that nothing noticed fails the test."""

    def note(name: str, where: str, killer: str | None) -> None:
        assert killer, f"nothing noticed: {name} ({where})"
        record_property(_PROPERTY, (name, where, killer))

    return note


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table of mutants and of what killed them."""
    passed: list[pytest.TestReport] = terminalreporter.getreports("passed")
    mutants = sorted(_mutants(passed), key=lambda mutant: mutant[1])
    if not mutants:
        return
    terminalreporter.section(f"{len(mutants)} mutants, each killed")
    widths = [max(len(mutant[column]) for mutant in mutants) for column in (0, 1)]
    for name, where, by in mutants:
        terminalreporter.write_line(f"{name:{widths[0]}}  {where:{widths[1]}}  {by}"[:_WIDTH])


def _mutants(reports: Iterable[pytest.TestReport]) -> Iterator[tuple[str, str, str]]:
    for report in reports:
        for name, value in report.user_properties:
            if name == _PROPERTY and isinstance(value, list | tuple):  # a list once it was sent between processes
                mutant, where, by = map(str, value)
                yield mutant, where, by
