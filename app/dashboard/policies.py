"""Policies and holds: versions side by side, what a proposal would change, and what takes two officers."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

from starlette.responses import Response, StreamingResponse

from app.dashboard.acting import Sent, act, stated
from app.dashboard.desk import Visit, failed
from app.dashboard.frame import page_headers, render
from app.dashboard.reading import Unanswered
from app.dashboard.tables import Table
from schema.actor import Role
from schema.governed import EXAMINERS

_RESULT: Final = "<!-- result -->"
_PROPOSED: Final = "PROPOSED"
_IN_FORCE: Final = "IN_FORCE"
_DONE: Final = {
    "opened": "The hold is open: nothing that it covers is delivered from the next page on.",
    "lift-asked": "You asked that the hold be lifted. It stays until a second officer agrees.",
    "lifted": "The hold is lifted. It covers its scope for the policy's dwell more, a day as a rule.",
    "proposed": "The policy is proposed. A second officer can approve it.",
    "approved": "The policy is approved: it is in force from its date on, or at once where that is past.",
}


@dataclass(frozen=True, slots=True)
class Version:
    """Hold a version of the policy and its state; a proposal says who proposed it and who approved it."""

    policy: dict[str, Any]
    state: str
    proposal: dict[str, Any] | None = None

    @property
    def name(self) -> str:
        """Give its name."""
        name: str = self.policy["version"]
        return name


@dataclass(frozen=True, slots=True)
class Difference:
    """Hold a setting in two versions; of lists, what only one of them has."""

    setting: str
    left: str
    right: str
    gone: list[str]
    new: list[str]

    @property
    def changed(self) -> bool:
        """Say whether it differs."""
        return self.left != self.right


async def show(visit: Visit) -> Response:
    """Show versions, proposals and holds."""
    return await _page(visit, {}, None)


async def propose(visit: Visit) -> Response:
    """Propose a policy."""
    return await act(visit, _page, "propose_policy", stated("document"), lambda _: "proposed#versions")


async def approve(visit: Visit) -> Response:
    """Approve what another officer proposed."""
    return await act(visit, _page, "approve_policy", stated("version"), lambda _: "approved#versions")


async def open_hold(visit: Visit) -> Response:
    """Open a hold."""
    return await act(visit, _page, "open_hold", _hold, lambda _: "opened#holds")


async def lift_hold(visit: Visit) -> Response:
    """Ask that a hold be lifted, or agree that it is."""

    def done(answered: dict[str, Any]) -> str:
        return "lifted#holds" if answered["liftHold"]["liftedAt"] else "lift-asked#holds"

    return await act(visit, _page, "lift_hold", stated("id"), done)


async def simulate(visit: Visit) -> Response:
    """Say what a proposal, or a document that was sent, would change; the page begins before that is known."""
    if visit.request.method == "POST":
        document, name = (await visit.form()).get("document", ""), "the document"
    else:
        name = visit.asked("version") or ""
        found = next((each for each in _versions(await _read(visit)) if each.name == name), None)
        if found is None:
            raise Unanswered(f"There is no version {name}.", 404)
        document, name = found.policy["document"], f"version {name}"
    begun, _, ended = visit.render("simulation.html", name=name, document=document, result=_RESULT).partition(_RESULT)

    async def written() -> AsyncIterator[str]:
        yield begun
        try:
            found = (await visit.ask("simulate_policy", document=document))["simulatePolicy"]
            yield render("simulated.html", found=found, changes=_changes(found))
        except Unanswered as why:
            yield render("not_simulated.html", message=why.message)
        except Exception as error:  # whatever it is, its text stays here: the server would log it with a trace
            yield render("not_simulated.html", message=failed(error))
        yield ended

    return StreamingResponse(written(), media_type="text/html", headers=page_headers())


def _hold(sent: Sent) -> dict[str, Any]:
    named = stated("scope", "authority", "reason", "value")(sent)
    return named | {"value": named["value"] or None}


async def _read(visit: Visit) -> dict[str, Any]:
    return await visit.ask(
        "policies",
        officers=visit.actor.role in EXAMINERS,
        after=visit.asked("after"),
        open=visit.asked("holds") != "all",
    )


async def _page(visit: Visit, typed: Sent, problem: str | None) -> Response:
    found = await _read(visit)
    versions = _versions(found)
    left, right = _compared(visit, versions)
    differences = _differences(left, right)
    columns = ("setting", left.name if left else "", right.name if right else "")
    compared = Table(
        "versions", "Two versions, setting by setting", columns, [(d.setting, d.left, d.right) for d in differences]
    )
    holds = found.get("holds")
    return visit.page(
        "policies.html",
        compared,
        status=422 if problem else 200,
        versions=versions,
        current=_in_force(versions),
        waiting=sum(each.state == _PROPOSED for each in versions),
        left=left,
        right=right,
        differences=differences,
        holds=holds["nodes"] if holds else None,
        only_open=visit.asked("holds") != "all",
        more_holds=visit.next(holds["pageInfo"], "holds") if holds else None,
        officer=visit.actor.role is Role.PRIVACY_OFFICER,
        typed=typed,
        problem=problem,
        done=_DONE.get(visit.asked("done") or ""),
    )


def _versions(found: dict[str, Any]) -> list[Version]:
    """List the versions, the newest first; who may not see them all sees the one in force."""
    if "policies" in found:
        return [Version(each["policy"], each["state"], each["proposal"]) for each in found["policies"]]
    return [Version(found["policy"], _IN_FORCE)] if found["policy"] else []


def _in_force(versions: list[Version]) -> Version | None:
    return next((each for each in versions if each.state == _IN_FORCE), None)


def _compared(visit: Visit, versions: list[Version]) -> tuple[Version | None, Version | None]:
    """Choose the two versions to compare: those that are asked for, else the one in force and the newest other."""
    named = {each.name: each for each in versions}
    current = _in_force(versions)
    other = next((each for each in versions if each is not current), current)
    return named.get(visit.asked("left") or "", current), named.get(visit.asked("right") or "", other)


def _differences(left: Version | None, right: Version | None) -> list[Difference]:
    if left is None or right is None:
        return []
    before, after = (_settings(json.loads(each.policy["document"])) for each in (left, right))
    return [
        Difference(
            setting,
            ", ".join(was := before.get(setting, [])),
            ", ".join(then := after.get(setting, [])),
            [each for each in was if each not in then],
            [each for each in then if each not in was],
        )
        for setting in dict.fromkeys([*before, *after])
    ]


def _settings(document: Any, path: str = "") -> dict[str, list[str]]:
    """Flatten a document: `dwell.account_days` -> its values as text."""
    if isinstance(document, dict):
        parts = (_settings(value, f"{path}.{name}" if path else name) for name, value in document.items())
        return {name: values for part in parts for name, values in part.items()}
    values = document if isinstance(document, list) else [document]
    return {path: ["none" if value is None else str(value) for value in values]}


def _changes(found: dict[str, Any]) -> list[Table]:
    """Make the tables of a simulation."""
    names = {"byKind": "kind", "byCountry": "country", "byCondition": "condition"}
    return [
        Table(
            name,
            f"Changes by {name}",
            (name, "gained", "lost"),
            [(each["name"] or "unknown", each["gained"], each["lost"]) for each in found[key]],
        )
        for key, name in names.items()
    ]
