"""Describe every fault of a policy document: its place, the reason, and what to do."""

import json
from collections.abc import Mapping
from typing import Any

from pydantic_core import ErrorDetails

_REASONS: Mapping[str, str] = {
    "extra_forbidden": "is not a field of a policy (remove it, or correct its name)",
    "missing": "is missing (state it)",
    "int_type": "must be a whole number, without quotation marks (correct it)",
    "string_type": "must be a text in quotation marks (correct it)",
    "model_type": "must be an object in braces (correct it)",
    "dict_type": "must be an object in braces (correct it)",
    "tuple_type": "must be a list in square brackets (correct it)",
    "greater_than_equal": "must be at least {ge} (correct it)",
    "less_than_equal": "must be at most {le} (correct it)",
    "too_short": "must not be empty (minimum number of entries: {min_length})",
    "string_too_short": "must not be empty (enter a value)",
    "string_too_long": "must have at most {max_length} characters (shorten it)",
    "string_pattern_mismatch": "must have the form {pattern} (correct it)",
    "enum": "must be {expected} (correct it)",
    "literal_error": "must be {expected} (correct it)",
    "timezone_aware": "must have a time zone (write it like 2025-05-27T12:00:00Z)",
    "datetime_type": "must be a time (write it like 2025-05-27T12:00:00Z)",
    "datetime_parsing": "must be a time (write it like 2025-05-27T12:00:00Z)",
    "datetime_from_date_parsing": "must be a time (write it like 2025-05-27T12:00:00Z)",
}


def describe_fault(fault: ErrorDetails) -> str:
    """Describe a fault that pydantic found in a policy document: its place, the reason and what to do."""
    place = ".".join(str(part) for part in fault["loc"] if part != "[key]")
    if fault["type"] == "json_invalid":
        return f"is not JSON, {fault['msg'].removeprefix('Invalid JSON: ')} (correct it)"
    reason = _REASONS.get(fault["type"], fault["msg"].removeprefix("Value error, "))
    context = fault.get("ctx", {})
    if "{" in reason:
        reason = reason.format_map({name: str(value) for name, value in context.items()})
    return f"{place}: {reason}" if place else reason


def without_faults(document: dict[str, Any], faults: list[ErrorDetails], sound: Mapping[str, Any]) -> dict[str, Any]:
    """Return a policy document of which the rest can be checked: each faulty part removed or taken from a sound one."""
    rest: dict[str, Any] = json.loads(json.dumps(document))
    for fault in sorted(faults, key=lambda each: [str(part).zfill(9) for part in each["loc"]], reverse=True):
        if not fault["loc"]:  # what its parts say together
            rest |= {"grounds": sound["grounds"], "effective_until": None}
            continue
        *parents, last = [part for part in fault["loc"] if part != "[key]"]
        is_removable = fault["type"] == "extra_forbidden" or isinstance(last, int) or "[key]" in fault["loc"]
        if is_removable:
            part: Any = rest
            for name in parents:
                part = part[name]
            del part[last]
        elif (first := str([*parents, last][0])) in sound:
            rest[first] = sound[first]
    return rest
