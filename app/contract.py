"""What `grounds contract` and `grounds documents` read and write: operations, schemas, findings, the manifest."""

import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

import httpx
import orjson
from graphql import (
    GraphQLError,
    GraphQLSchema,
    build_client_schema,
    get_introspection_query,
    parse,
    resolve_schema_coordinate,
    validate_schema,
)
from graphql import build_schema as schema_of

from app.documents import entries, identify, open_documents
from schema.actor import CLIENT_NAME
from schema.build import build_schema
from schema.contracts import Change, Finding, Operation, Verdict, Weight, check, operations_of

SUFFIXES: Final = (".graphql", ".gql")
ANSWER_SECONDS: Final = 30.0
VARIABLE: Final = "GROUNDS_TOKEN"

_NOT_IN_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

Found = list[tuple[Operation, list[Finding]]]


class ContractError(Exception):
    """Say, in the reader's words, what cannot be read."""


def read_operations(places: Iterable[Path], client: str | None = None) -> list[Operation]:
    """Read the operations of files, and of folders with all that is in them; a folder's SDL files are left out.

    The consumer is `client`, or else the name of the folder that a file lies in. Raises ContractError.
    """
    found: list[Operation] = []
    for place in places:
        if not place.exists():
            raise ContractError(f"{place}: there is no such file or folder (name .graphql files or folders)")
        folder = place.is_dir()
        files = sorted(each for each in place.rglob("*") if each.suffix in SUFFIXES) if folder else [place]
        operations = [each for file in files for each in _operations(file, client, sdl=folder)]
        if not operations:
            raise ContractError(f"{place}: has no operation (name .graphql files or folders that have some)")
        found += operations
    return found


def read_schema(name: str | None) -> GraphQLSchema:
    """Read a schema: an SDL file, a gateway's by its URL, or without a name the one that this version serves.

    Raises ContractError.
    """
    if name is None:
        return schema_of(build_schema().as_str())
    if is_url(name):
        return _introspected(name)
    file = Path(name)
    try:
        schema = schema_of(_text(file))
    except GraphQLError as error:
        raise ContractError(f"{file}: is no SDL{_place(error)}: {error.message} (mend it)") from None
    except TypeError as error:  # graphql-core's for definitions that contradict each other
        raise ContractError(f"{file}: is no sound schema: {error} (mend it)") from None
    faults = validate_schema(schema)
    if faults:
        raise ContractError(f"{file}: is no sound schema: {faults[0].message} (mend it)")
    return schema


def is_url(name: str) -> bool:
    """Tell whether a schema is asked for, rather than read."""
    return name.startswith(("http://", "https://"))


def known_coordinate(schema: GraphQLSchema, coordinate: str) -> str:
    """Give a coordinate that the schema has. Raises ContractError for others."""
    try:
        found = resolve_schema_coordinate(schema, coordinate)
    except (GraphQLError, TypeError, ValueError):  # its syntax, or a type that is not there
        found = None
    if found is None:
        raise ContractError(f"{coordinate}: is nothing that the schema has (write it as TrainableContent.text)")
    return coordinate


def fails(findings: Iterable[Finding], *, strict: bool) -> bool:
    """Tell whether findings break a build: what fails does, and when it is strict, the rest too."""
    return any(strict or each.verdict is Verdict.FAILS for each in findings)


def told(finding: Finding) -> str:
    """Write a finding in one line."""
    line = f"line {finding.line}: " if finding.line else ""
    return f"{finding.verdict}: {line}{finding.message}"


def as_text(found: Found, *, strict: bool) -> str:
    """Write findings for people, by consumer."""
    lines: list[str] = []
    for consumer, group in _by_consumer(found).items():
        lines.append(f"{consumer}: {len(group)} operations")
        for operation, findings in group:
            lines += [f"  {operation.file}: {operation.name}: {told(each)}" for each in findings]
    failing = sum(fails(findings, strict=strict) for _, findings in found)
    return "\n".join([*lines, f"{failing} of {len(found)} operations would fail"])


def as_json(found: Found) -> str:
    """Write findings for programs."""
    operations = [
        {
            **{"consumer": operation.consumer, "operation": operation.name, "file": operation.file},
            "findings": [{"verdict": each.verdict, "line": each.line, "message": each.message} for each in findings],
        }
        for operation, findings in found
    ]
    return json.dumps({"operations": operations}, indent=2, ensure_ascii=False)


def as_junit(found: Found, *, strict: bool) -> str:
    """Write findings as JUnit's XML: a suite a consumer, a case an operation."""
    suites = ElementTree.Element("testsuites", name="grounds contract check")
    for consumer, group in _by_consumer(found).items():
        failing = sum(fails(findings, strict=strict) for _, findings in group)
        counts = {"tests": str(len(group)), "failures": str(failing)}
        suite = ElementTree.SubElement(suites, "testsuite", {"name": consumer, **counts})
        for operation, findings in group:
            named = {"classname": f"{consumer}.{Path(operation.file).stem}", "name": operation.name}
            case = ElementTree.SubElement(suite, "testcase", {**named, "file": operation.file})
            text = _NOT_IN_XML.sub("�", "\n".join(told(each) for each in findings))
            if fails(findings, strict=strict):
                ElementTree.SubElement(case, "failure", message=text.partition("\n")[0]).text = text
            elif findings:
                ElementTree.SubElement(case, "system-out").text = text
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True)


def changes_as_text(found: Iterable[tuple[Change, list[Operation]]], broken: Iterable[Operation]) -> str:
    """Write changes for people, each with the consumers that it touches, and who would break."""
    lines: list[str] = []
    counts = dict.fromkeys(Weight, 0)
    for change, operations in found:
        counts[change.weight] += 1
        lines.append(f"{change.weight}: {change.kind}: {change.description}")
        lines += [f"  touches {line}" for line in consumers(operations)]
    lines += [f"would break {line}" for line in consumers(broken)]
    return "\n".join([*lines, ", ".join(f"{count} {weight}" for weight, count in counts.items())])


def consumers(operations: Iterable[Operation]) -> list[str]:
    """Write consumers with their operations, a line each."""
    named: dict[str, list[str]] = {}
    for each in operations:
        named.setdefault(each.consumer, []).append(f"{each.name} ({each.file})")
    return [f"{consumer}: {', '.join(names)}" for consumer, names in sorted(named.items())]


def register(place: Path, client: str, manifest: Path) -> Mapping[str, str]:
    """Merge the documents of a folder into a manifest of trusted documents; give their operations' names, by id.

    The file is replaced in one step, once the whole of it is one that the server would serve. Raises ContractError for
    documents of which one would fail, and SettingsError for a manifest that is not sound.
    """
    if not CLIENT_NAME.fullmatch(client):
        raise ContractError(f"--client: {client!r} is no client's name (use letters, digits, dots, - and _)")
    schema = build_schema()
    texts: dict[str, str] = {}
    names: dict[str, str] = {}
    faults: list[str] = []
    for operation in read_operations([place], client):
        findings = check(schema.core, operation)
        faults += [
            f"{operation.file}: {operation.name}: {told(each)}"
            for each in findings
            if each.verdict is not Verdict.DEPRECATED
        ]
        text = _text(Path(operation.file))
        identifier = identify(text)
        texts[identifier] = text
        names[identifier] = f"{names[identifier]}, {operation.name}" if identifier in names else operation.name
    if faults:
        raise ContractError("\n".join(faults))
    kept = dict(entries(manifest)) if manifest.exists() else {}
    manifest = manifest.resolve()
    written = manifest.with_name(f".{manifest.name}.{os.getpid()}")
    try:
        written.write_bytes(orjson.dumps(kept | texts, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS))
        open_documents(written, frozenset(), schema)
        written.replace(manifest)
    except OSError as error:
        raise ContractError(f"{manifest}: cannot be written: {error.strerror} (see its folder)") from None
    finally:
        written.unlink(missing_ok=True)
    return names


def _operations(file: Path, client: str | None, *, sdl: bool) -> list[Operation]:
    try:
        document = parse(_text(file))
    except GraphQLError as error:
        raise ContractError(f"{file}: cannot be parsed{_place(error)}: {error.message} (mend it)") from None
    found = operations_of(document, client or file.resolve().parent.name, str(file), file.stem)
    if not found and not (sdl and all(_defines(each.kind) for each in document.definitions)):
        raise ContractError(f"{file}: has no operation (fragments go into the documents that use them)")
    return found


def _defines(kind: str) -> bool:
    """Tell whether a definition is one of a schema."""
    return kind not in ("operation_definition", "fragment_definition")


def _text(file: Path) -> str:
    try:
        return file.read_bytes().decode()
    except OSError as error:
        raise ContractError(f"{file}: cannot be read: {error.strerror} (name a file)") from None
    except UnicodeDecodeError:
        raise ContractError(f"{file}: is not UTF-8 (write it so)") from None


def _introspected(url: str) -> GraphQLSchema:
    """Ask a gateway for its schema. Redirects are not followed: the token is for the gateway that was named."""
    token = os.environ.get(VARIABLE)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    query = get_introspection_query(input_value_deprecation=True)
    try:
        answer = httpx.post(url, json={"query": query}, headers=headers, timeout=ANSWER_SECONDS, follow_redirects=False)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ContractError(
            f"--schema: the gateway cannot be asked: {type(error).__name__} (see its address)"
        ) from None
    if not answer.is_success:
        todo = f"see the address, {VARIABLE}, and whether it lets itself be introspected"
        raise ContractError(f"--schema: the gateway answered {answer.status_code} ({todo})")
    try:
        return build_client_schema(answer.json()["data"])
    except (ValueError, TypeError, KeyError, GraphQLError):
        raise ContractError(
            "--schema: the answer is no introspection (see the address; GROUNDS_INTROSPECTION)"
        ) from None


def _place(error: GraphQLError) -> str:
    return f" at line {error.locations[0].line}, column {error.locations[0].column}" if error.locations else ""


def _by_consumer(found: Found) -> dict[str, Found]:
    groups: dict[str, Found] = {}
    for operation, findings in found:
        groups.setdefault(operation.consumer, []).append((operation, findings))
    return dict(sorted(groups.items()))
