"""How `grounds contract` tells what it found: for people, for programs, and as JUnit's XML for CI servers."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree

from schema.contracts import Change, Finding, Operation, Verdict, Weight

Found = list[tuple[Operation, list[Finding]]]
Touched = list[tuple[Change, list[Operation]]]

_NOT_IN_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def fails(findings: Iterable[Finding], *, strict: bool) -> bool:
    """Tell whether findings break a build: what fails does, and when it is strict, the rest too."""
    return any(strict or each.verdict is Verdict.FAILS for each in findings)


def breaks(change: Change, *, strict: bool) -> bool:
    """Tell whether a change breaks a build: a breaking one does, and when it is strict, a dangerous one too."""
    return change.weight is Weight.BREAKING or (strict and change.weight is Weight.DANGEROUS)


def told(finding: Finding) -> str:
    """Write a finding in one line."""
    line = f"line {finding.line}: " if finding.line else ""
    return f"{finding.verdict}: {line}{finding.message}"


def as_text(found: Found, *, strict: bool) -> str:
    """Write findings for people, by consumer."""
    lines: list[str] = []
    for consumer, group in _by_consumer(found).items():
        lines.append(f"{consumer}: {len(group)} operation{'s' if len(group) > 1 else ''}")
        for operation, findings in group:
            lines += [f"  {operation.file}: {operation.name}: {told(each)}" for each in findings]
    failing = sum(fails(findings, strict=strict) for _, findings in found)
    return "\n".join([*lines, f"{failing} of {len(found)} operations would fail"])


def as_json(found: Found) -> str:
    """Write findings for programs."""
    return _json(operations=[_findings(operation, findings) for operation, findings in found])


def as_junit(found: Found, *, strict: bool) -> str:
    """Write findings as JUnit's XML: a suite a consumer, a case an operation."""
    suites = ElementTree.Element("testsuites", name="grounds contract check")
    _add_operations(suites, found, strict=strict)
    return _xml(suites)


def changes_as_text(found: Touched, broken: Found) -> str:
    """Write changes for people, each with the consumers that it touches, and what would break."""
    lines: list[str] = []
    counts = dict.fromkeys(Weight, 0)
    for change, operations in found:
        counts[change.weight] += 1
        lines.append(f"{change.weight}: {change.kind}: {change.description}")
        lines += [f"  touches {line}" for line in consumers(operations)]
    lines += [f"would break {line}" for line in consumers(operation for operation, _ in broken)]
    return "\n".join([*lines, ", ".join(f"{count} {weight}" for weight, count in counts.items())])


def changes_as_json(found: Touched, broken: Found) -> str:
    """Write changes for programs."""
    return _json(
        changes=[
            {
                **{"weight": change.weight, "kind": change.kind, "coordinate": change.coordinate},
                **{"description": change.description, "touches": [_named(each) for each in operations]},
            }
            for change, operations in found
        ],
        broken=[_findings(operation, findings) for operation, findings in broken],
    )


def changes_as_junit(found: Touched, broken: Found, *, strict: bool) -> str:
    """Write changes as JUnit's XML: a suite of the changes, and one for each consumer whose operations would break."""
    suites = ElementTree.Element("testsuites", name="grounds contract diff")
    failing = sum(breaks(change, strict=strict) for change, _ in found)
    suite = _add_suite(suites, "schema", len(found), failing)
    for change, operations in found:
        case = ElementTree.SubElement(suite, "testcase", classname=change.kind, name=change.coordinate)
        first = f"{change.weight}: {change.description}"
        text = "\n".join([first, *(f"touches {line}" for line in consumers(operations))])
        _tell(case, text, failing=breaks(change, strict=strict))
    _add_operations(suites, broken, strict=strict)
    return _xml(suites)


def usage_as_json(coordinate: str, readers: Iterable[Operation]) -> str:
    """Write who uses something, for programs."""
    return _json(coordinate=coordinate, operations=[_named(each) for each in readers])


def consumers(operations: Iterable[Operation]) -> list[str]:
    """Write consumers with their operations, a line each."""
    named: dict[str, list[str]] = {}
    for each in operations:
        named.setdefault(each.consumer, []).append(f"{each.name} ({each.file})")
    return [f"{consumer}: {', '.join(names)}" for consumer, names in sorted(named.items())]


def _json(**told: Any) -> str:
    return json.dumps(told, indent=2, ensure_ascii=False)


def _named(operation: Operation) -> dict[str, Any]:
    return {"consumer": operation.consumer, "operation": operation.name, "file": operation.file}


def _findings(operation: Operation, findings: list[Finding]) -> dict[str, Any]:
    told = [{"verdict": each.verdict, "line": each.line, "message": each.message} for each in findings]
    return {**_named(operation), "findings": told}


def _add_operations(suites: ElementTree.Element, found: Found, *, strict: bool) -> None:
    for consumer, group in _by_consumer(found).items():
        failing = sum(fails(findings, strict=strict) for _, findings in group)
        suite = _add_suite(suites, consumer, len(group), failing)
        for operation, findings in group:
            named = {"classname": f"{consumer}.{Path(operation.file).stem}", "name": operation.name}
            case = ElementTree.SubElement(suite, "testcase", {**named, "file": operation.file})
            text = "\n".join(told(each) for each in findings)
            _tell(case, text, failing=fails(findings, strict=strict))


def _add_suite(suites: ElementTree.Element, name: str, tests: int, failures: int) -> ElementTree.Element:
    counts = {"tests": str(tests), "failures": str(failures)}
    return ElementTree.SubElement(suites, "testsuite", {"name": name, **counts})


def _tell(case: ElementTree.Element, text: str, *, failing: bool) -> None:
    text = _NOT_IN_XML.sub("\N{REPLACEMENT CHARACTER}", text)
    if failing:
        ElementTree.SubElement(case, "failure", message=text.partition("\n")[0]).text = text
    elif text:
        ElementTree.SubElement(case, "system-out").text = text


def _xml(suites: ElementTree.Element) -> str:
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True)


def _by_consumer(found: Found) -> dict[str, Found]:
    groups: dict[str, Found] = {}
    for operation, findings in found:
        groups.setdefault(operation.consumer, []).append((operation, findings))
    return dict(sorted(groups.items()))
