"""The Policies and holds page: versions compared, simulations, proposals, and holds."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

from starlette.responses import Response, StreamingResponse

from app.web.dashboard.form_actions import FormFields, run_form_action, stripped
from app.web.dashboard.layout import TEMPLATES
from app.web.dashboard.setting_labels import label_of
from app.web.pages import OperationError, PageRequest, failure_message, page_headers
from app.web.tables import Table
from schema.actor import Role
from schema.governed import EXAMINERS

_RESULT: Final = "<!-- result -->"
_PROPOSED: Final = "PROPOSED"
_IN_FORCE: Final = "IN_FORCE"
_OUTCOMES: Final = {
    "opened": "The hold is open. From the next page on, the gateway delivers no content that the hold covers.",
    "lift-asked": "You asked to lift the hold. The hold stays in force until a second officer agrees.",
    "lifted": "The hold is lifted. Deliveries stay stopped for the policy's waiting time, usually one day.",
    "proposed": "The policy is proposed. A second officer can approve it.",
    "approved": (
        "The policy is approved, and takes effect at its effective time. If this time has passed, the policy is in"
        " force now."
    ),
}


@dataclass(frozen=True, slots=True)
class ListedVersion:
    """A policy version in the list, with its state and, if officers proposed it, the proposal."""

    policy: dict[str, Any]
    state: str
    proposal: dict[str, Any] | None = None

    @property
    def name(self) -> str:
        """Return the name of a policy version as the dashboard lists it."""
        name: str = self.policy["version"]
        return name


@dataclass(frozen=True, slots=True)
class SettingDifference:
    """A setting in two versions; for lists, the values that only one version has."""

    setting: str
    left: str
    right: str
    removed: list[str]
    added: list[str]

    @property
    def changed(self) -> bool:
        """Return whether the two policy versions that the dashboard compares differ in a setting."""
        return self.left != self.right


async def show_policies(request: PageRequest) -> Response:
    """Show the Policies and holds page of the dashboard; a link can fill in the form that opens a hold."""
    stated = {name: request.parameter(name) for name in ("scope", "value")}
    return await _policies_page(request, {name: value for name, value in stated.items() if value}, None)


async def propose_policy(request: PageRequest) -> Response:
    """Propose a policy by the form of the dashboard."""
    return await run_form_action(
        request, _policies_page, "propose_policy", stripped("document"), lambda _: "proposed#versions"
    )


async def approve_policy(request: PageRequest) -> Response:
    """Approve another officer's policy by the form of the dashboard."""
    return await run_form_action(
        request, _policies_page, "approve_policy", stripped("version"), lambda _: "approved#versions"
    )


async def open_hold(request: PageRequest) -> Response:
    """Open a hold by the form of the dashboard."""
    return await run_form_action(request, _policies_page, "open_hold", _hold_variables, lambda _: "opened#holds")


async def lift_hold(request: PageRequest) -> Response:
    """Ask to lift a hold by the form of the dashboard, or agree to it as the second officer."""

    def outcome(data: dict[str, Any]) -> str:
        """Return which message the dashboard shows after the form that lifts a hold."""
        return "lifted#holds" if data["liftHold"]["liftedAt"] else "lift-asked#holds"

    return await run_form_action(request, _policies_page, "lift_hold", stripped("id"), outcome)


async def show_simulation(request: PageRequest) -> Response:
    """Show the dashboard's page of what a proposed version or a submitted document would change."""
    if request.request.method == "POST":
        return await show_simulation_of(request, (await request.form()).get("document", ""))
    versions = _listed_versions(await _read_policies(request))
    name = request.parameter("version") or ""
    found = next((each for each in versions if each.name == name), None)
    if found is None:
        raise OperationError(f"There is no policy version {name}.", 404)
    return _simulation_page(request, found.policy["document"], versions, found)


async def show_simulation_of(request: PageRequest, document: str) -> Response:
    """Show the dashboard's page of what a submitted document would change."""
    return _simulation_page(request, document, _listed_versions(await _read_policies(request)), None)


async def policy_in_force(request: PageRequest) -> str | None:
    """Read the document of the policy in force for the dashboard."""
    current = _version_in_force(_listed_versions(await _read_policies(request)))
    return current.policy["document"] if current else None


def _simulation_page(
    request: PageRequest, document: str, versions: list[ListedVersion], proposed: ListedVersion | None
) -> Response:
    """Stream the dashboard's page of a simulation: its beginning is sent before the simulation ends.

    The page says in words which settings change, and has the button that proposes or approves the policy.
    """
    before, _, after = request.render(
        "simulation.html",
        name=f"version {proposed.name}" if proposed else "the document",
        document=document,
        proposed=proposed if proposed and proposed.state == _PROPOSED else None,
        sentences=_difference_sentences(_version_in_force(versions), document),
        result=_RESULT,
    ).partition(_RESULT)

    async def page_parts() -> AsyncIterator[str]:
        """Yield the dashboard's simulation page in parts: its head at once, its result when it is there."""
        yield before
        try:
            simulation = (await request.execute("simulate_policy", document=document))["simulatePolicy"]
            yield TEMPLATES.render("simulation_result.html", simulation=simulation, changes=_change_tables(simulation))
        except OperationError as why:
            yield TEMPLATES.render("simulation_failed.html", message=why.message)
        except Exception as error:  # whatever it is, its text stays here: the server would log it with a trace
            yield TEMPLATES.render("simulation_failed.html", message=failure_message(error))
        yield after

    return StreamingResponse(page_parts(), media_type="text/html", headers=page_headers())


def _difference_sentences(current: ListedVersion | None, document: str) -> list[str] | None:
    """List in words for the dashboard which settings a document changes; None if the document cannot be read."""
    try:
        json.loads(document)["version"]
    except (ValueError, KeyError, TypeError):
        return None
    if current is None:
        return None
    compared = ListedVersion({"version": "", "document": document}, "")
    return [_in_words(each) for each in _setting_differences(current, compared) if each.changed]


def _in_words(difference: SettingDifference) -> str:
    """Write in words for the dashboard how a setting changes."""
    label = label_of(difference.setting)
    if ", " in difference.left or ", " in difference.right:
        parts = [
            f"{verb} {', '.join(values)}"
            for verb, values in (("adds", difference.added), ("removes", difference.removed))
            if values
        ]
        return f"{label}: {' and '.join(parts) or 'has another order'}."
    return f"{label}: from {difference.left or 'not set'} to {difference.right or 'not set'}."


def _hold_variables(fields: FormFields) -> dict[str, Any]:
    """Return the mutation's variables from the dashboard's form that opens a hold."""
    named = stripped("scope", "authority", "reason", "value")(fields)
    return named | {"value": named["value"] or None}


async def _read_policies(request: PageRequest) -> dict[str, Any]:
    """Execute the operation of the dashboard's Policies and holds page."""
    return await request.execute(
        "policies",
        officers=request.actor.role in EXAMINERS,
        after=request.parameter("after"),
        open=request.parameter("holds") != "all",
    )


async def _policies_page(request: PageRequest, fields: FormFields, problem: str | None) -> Response:
    """Build the Policies and holds page of the dashboard."""
    data = await _read_policies(request)
    versions = _listed_versions(data)
    left, right = _compared_versions(request, versions)
    differences = _setting_differences(left, right)
    columns = ("setting", left.name if left else "", right.name if right else "")
    comparison = Table(
        "versions", "Two versions, setting by setting", columns, [(d.setting, d.left, d.right) for d in differences]
    )
    holds = data.get("holds")
    return request.respond(
        "policies.html",
        comparison,
        status=422 if problem else 200,
        versions=versions,
        current=_version_in_force(versions),
        proposals=sum(each.state == _PROPOSED for each in versions),
        left=left,
        right=right,
        differences=differences,
        holds=holds["nodes"] if holds else None,
        only_open=request.parameter("holds") != "all",
        next_holds=request.next_page_link(holds["pageInfo"], "holds") if holds else None,
        is_officer=request.actor.role is Role.PRIVACY_OFFICER,
        fields=fields,
        problem=problem,
        outcome=_OUTCOMES.get(request.parameter("done") or ""),
    )


def _listed_versions(data: dict[str, Any]) -> list[ListedVersion]:
    """List the policy versions for the dashboard, newest first; the role DASHBOARD sees the one in force only."""
    if "policies" in data:
        return [ListedVersion(each["policy"], each["state"], each["proposal"]) for each in data["policies"]]
    return [ListedVersion(data["policy"], _IN_FORCE)] if data["policy"] else []


def _version_in_force(versions: list[ListedVersion]) -> ListedVersion | None:
    """Return the policy version in force among those that the dashboard lists."""
    return next((each for each in versions if each.state == _IN_FORCE), None)


def _compared_versions(
    request: PageRequest, versions: list[ListedVersion]
) -> tuple[ListedVersion | None, ListedVersion | None]:
    """Choose the two policy versions that the dashboard compares: the query's, or else the newest other one."""
    named = {each.name: each for each in versions}
    current = _version_in_force(versions)
    other = next((each for each in versions if each is not current), current)
    return named.get(request.parameter("left") or "", current), named.get(request.parameter("right") or "", other)


def _setting_differences(left: ListedVersion | None, right: ListedVersion | None) -> list[SettingDifference]:
    """Compare two policy versions setting by setting for the dashboard."""
    if left is None or right is None:
        return []
    before, after = (_flattened(json.loads(each.policy["document"])) for each in (left, right))
    return [
        SettingDifference(
            setting,
            ", ".join(old := before.get(setting, [])),
            ", ".join(new := after.get(setting, [])),
            [each for each in old if each not in new],
            [each for each in new if each not in old],
        )
        for setting in dict.fromkeys([*before, *after])
    ]


def _flattened(document: Any, path: str = "") -> dict[str, list[str]]:
    """Flatten a policy document for the dashboard's comparison: `dwell.account_days` -> its values as text."""
    if isinstance(document, dict):
        parts = (_flattened(value, f"{path}.{name}" if path else name) for name, value in document.items())
        return {name: values for part in parts for name, values in part.items()}
    values = document if isinstance(document, list) else [document]
    return {path: ["none" if value is None else str(value) for value in values]}


def _change_tables(simulation: dict[str, Any]) -> list[Table]:
    """Make the tables of a policy's simulation for the dashboard."""
    names = {"byPurpose": "purpose", "byKind": "kind", "byCountry": "country", "byCondition": "condition"}
    untold = [tuple(each[name] for name in ("purpose", "kind", "accounts", "untold")) for each in simulation["untold"]]
    return [
        Table(
            "untold", "Accounts that received no notice", ("purpose", "kind", "accounts", "without a notice"), untold
        ),
        *(
            Table(
                name,
                f"Changes by {name}",
                (name, "gained", "lost"),
                [(each["name"] or "unknown", each["gained"], each["lost"]) for each in simulation[key]],
            )
            for key, name in names.items()
        ),
    ]
