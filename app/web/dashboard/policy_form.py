"""The form in which officers edit a policy: one field per setting, and the document that the fields make."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from starlette.responses import Response

from app.web.dashboard.policies import policy_in_force, show_simulation_of
from app.web.dashboard.setting_labels import label_of
from app.web.pages import OperationError, PageRequest

MAX_SETTINGS: Final = 200


@dataclass(frozen=True, slots=True)
class SettingField:
    """A field of the form: the path of the setting, its name in words, and what the field contains."""

    path: str
    label: str
    text: str
    is_number: bool
    is_list: bool


async def show_policy_form(request: PageRequest) -> Response:
    """Show the dashboard's form with the settings of the policy in force."""
    return request.respond("policy_form.html", fields=_form_fields(await _document_in_force(request)))


async def review_policy(request: PageRequest) -> Response:
    """Show what the policy of the submitted form would change, before the officer proposes the policy."""
    fields = await request.form(MAX_SETTINGS)
    document = document_of_form(await _document_in_force(request), fields)
    return await show_simulation_of(request, json.dumps(document, ensure_ascii=False, indent=2))


async def _document_in_force(request: PageRequest) -> dict[str, Any]:
    """Read the document of the policy in force for the dashboard's form. Raises OperationError if there is none."""
    current = await policy_in_force(request)
    if current is None:
        raise OperationError("No policy is in force. Propose a policy document instead.", 404)
    document: dict[str, Any] = json.loads(current)
    return document


def document_of_form(base: Mapping[str, Any], fields: Mapping[str, str], above: str = "") -> dict[str, Any]:
    """Make a policy document: `base` with the settings that the dashboard's form states; others stay as they are."""
    made = dict(base)
    for name, value in base.items():
        path = f"{above}{name}"
        if isinstance(value, dict):
            made[name] = document_of_form(value, fields, f"{path}.")
        elif path in fields:
            made[name] = _read_setting(value, fields[path])
    return made


def _read_setting(before: Any, text: str) -> Any:
    """Read a setting from a field of the dashboard's form, as a value of the type that it had."""
    words = text.replace(",", " ").split()
    if isinstance(before, list):
        return words
    if isinstance(before, int) and not isinstance(before, bool):
        return int(words[0]) if len(words) == 1 and words[0].isascii() and words[0].isdigit() else text
    return text.strip() or None


def _form_fields(document: Mapping[str, Any], above: str = "") -> list[SettingField]:
    """List the fields of the dashboard's form; lists of objects and texts by language have none."""
    found: list[SettingField] = []
    for name, value in document.items():
        path = f"{above}{name}"
        if _is_by_language(path):
            continue
        if isinstance(value, dict):
            found += _form_fields(value, f"{path}.")
        elif not (isinstance(value, list) and any(isinstance(each, dict) for each in value)) and path != "assessments":
            text = ", ".join(value) if isinstance(value, list) else "" if value is None else str(value)
            found.append(SettingField(path, label_of(path), text, isinstance(value, int), isinstance(value, list)))
    return found


def _is_by_language(path: str) -> bool:
    """Return whether a setting of a policy is a statement in several languages."""
    return path in ("controller.recipients", "controller.storage", "controller.transfers")
