"""Descriptions of a release and its columns: for catalogues (Croissant 1.1), as a dataset card, and as conditions."""

from typing import Any, Final

import orjson

from app.releases.bundle import UNKNOWN, Bundle, Document, as_json, shard_path
from app.releases.columns import COLUMN_TYPES, column_name
from db.policy.compile import conditions_of
from db.policy.evidence import Evidence
from db.policy.grounds import GROUNDS
from schema.relay.ids import IdKind

_CONTEXT: Final[dict[str, Any]] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    **{
        name: f"cr:{name}" for name in ("citeAs", "column", "extract", "field", "fileProperty", "fileObject", "fileSet")
    },
    **{name: f"cr:{name}" for name in ("format", "includes", "isLiveDataset", "jsonPath", "key", "md5", "parentField")},
    **{name: f"cr:{name}" for name in ("path", "recordSet", "references", "regex", "repeated", "replace", "separator")},
    **{name: f"cr:{name}" for name in ("source", "subField", "transform", "equivalentProperty", "samplingRate")},
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "sc": "https://schema.org/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
}
_PARQUET: Final = "application/x-parquet"  # with the registered name, mlcroissant validates a file and cannot read it
_PLAIN: Final = {
    "id": "The pseudonym of the item, which only this client receives; retractions contain the same pseudonym.",
    "author": "The pseudonym of the author, which only this client receives.",
    "kind": "The kind of the item.",
    "product": "The product on which the item was published.",
    "language": "The language of the item as a BCP 47 tag.",
    "month": "The month in which the item was created, given as the first day of the month.",
    "text": "The de-identified text.",
    "media": "The de-identified media of the item, in JSON.",
    "region": "The author's country.",
    "ground": "The ground on which the item qualified; conditions.json lists the conditions of each ground.",
}
_DESCRIPTION: Final = "The items that a gateway permitted one client to use for one purpose, each with the ground."
_LICENSE: Final = "The client must comply with the purpose, the policy and the retractions of the gateway."
_MAINTENANCE: Final = (
    "Items that are no longer permitted are removed when a file is requested; a removal increases the major version."
    " The client must delete each item that the feed of retractions names, before the deadline of the retraction."
)


def croissant(bundle: Bundle) -> Document:
    """Describe a release as a Croissant 1.1 dataset with the RAI vocabulary."""
    release = bundle.release
    controller = bundle.policy.controller
    files = [
        {
            **{"@type": "cr:FileObject", "@id": shard_path(shard.number), "name": shard_path(shard.number)},
            **{"contentUrl": shard_path(shard.number), "encodingFormat": _PARQUET, "sha256": shard.sha256.hex()},
            "contentSize": f"{shard.byte_count} B",
        }
        for shard in bundle.shards
    ]
    every = {"@type": "cr:FileSet", "@id": "shards", "name": "shards", "encodingFormat": _PARQUET}
    return as_json(
        {
            "@context": _CONTEXT,
            "@type": "sc:Dataset",
            "conformsTo": ["http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0"],
            "name": release.name,
            "description": _DESCRIPTION,
            "license": _LICENSE,
            "url": f"/releases/{bundle.context.ids.encode(IdKind.RELEASE, release.id)}/",
            "creator": {"@type": "sc:Organization", "name": controller.name if controller else "Not stated"},
            "datePublished": release.started_at.date(),
            "version": release.version,
            "isLiveDataset": False,
            "citeAs": f"{release.name} {release.version}",
            "rai:dataCollection": "The items come from the controller's own services, and meet the conditions in"
            " conditions.json.",
            "rai:personalSensitiveInformation": [
                "Texts are de-identified, not anonymous.",
                _special_categories(bundle),
            ],
            "rai:dataReleaseMaintenancePlan": _MAINTENANCE,
            "distribution": [*files, every | {"includes": "data/*.parquet"}],
            "recordSet": [_records(bundle)],
        }
    )


def dataset_card(bundle: Bundle) -> Document:
    """Write the card of a release as the Hugging Face Hub and `datasets` read it."""
    release = bundle.release
    languages = sorted({name.partition("-")[0].lower() for name in bundle.by("language")} - {UNKNOWN})
    listed = "".join(f"\n- {language}" for language in languages)
    rows = "".join(f"| {kind} | {items:,} |\n" for kind, items in bundle.by("kind").items())
    columns = "".join(f"| `{name}` | {_meaning(bundle, name)} |\n" for name in COLUMN_TYPES)
    text = f"""---
pretty_name: {orjson.dumps(release.name).decode()}
license: other{f"{chr(10)}language:{listed}" if languages else ""}
configs:
- config_name: default
  data_files:
  - split: train
    path: data/*.parquet
---
# {release.name} {release.version}

{_DESCRIPTION} Client: {bundle.client}. Purpose: {release.purpose}. Policy: {bundle.policy.version}.

{release.items:,} items with {bundle.characters:,} characters of text.

| kind | items |
|---|---|
{rows}
| column | meaning |
|---|---|
{columns}
{_MAINTENANCE}
"""
    return text.encode(), "text/markdown; charset=utf-8"


def conditions_json(bundle: Bundle) -> Document:
    """List the conditions that each item passed: what each says, its source, and the column that has its evidence."""
    return as_json(
        {
            "policyVersion": bundle.policy.version,
            "grounds": {
                code.value: {
                    **{"legalBasis": GROUNDS[code].basis, "iri": GROUNDS[code].dpv, "summary": GROUNDS[code].summary},
                    "kinds": bundle.policy.grounds[code].kinds,
                }
                for code in bundle.policy.grounds
            },
            "conditions": [
                {
                    **{"code": condition.code, "sentence": condition.sentence, "source": condition.source},
                    "grounds": [code for code in bundle.policy.grounds if condition.code in GROUNDS[code].required],
                    **_evidence(condition.evidence),
                }
                for condition in conditions_of(bundle.policy)
            ],
        }
    )


def policy_json(bundle: Bundle) -> Document:
    """Write the policy that decided a release, as it was put in force."""
    return as_json(orjson.loads(bundle.policy.document()))


def _evidence(evidence: Evidence | None) -> dict[str, str | None]:
    """Name the column of a shard that has a condition's evidence, and the words that it is shown with."""
    if evidence is None or evidence.of_policy or evidence.examined:
        return {"column": None, "label": None}
    return {"column": column_name(evidence.column), "label": evidence.label}


def _meaning(bundle: Bundle, name: str) -> str:
    """Describe a column of a shard: in words, or by the condition that it is the evidence of."""
    if name in _PLAIN:
        return _PLAIN[name]
    shown = [
        condition
        for condition in conditions_of(bundle.policy)
        for evidence in (condition.evidence, condition.details)
        if evidence and not evidence.examined and column_name(evidence.column) == name
    ]
    return (
        f"Evidence of {shown[0].code}: {shown[0].sentence}"
        if shown
        else "The evidence of a condition that no ground of this policy requires."
    )


def _special_categories(bundle: Bundle) -> str:
    """Describe what keeps special categories of data out of a release."""
    (condition,) = [each for each in conditions_of(bundle.policy) if each.code == "NO_SPECIAL_CATEGORY"]
    return f"{condition.sentence} ({condition.source})"


def _records(bundle: Bundle) -> dict[str, Any]:
    """Describe the rows of a release for Croissant."""
    fields = [
        {
            **{"@type": "cr:Field", "@id": f"items/{name}", "name": name, "description": _meaning(bundle, name)},
            "dataType": f"sc:{kind}",
            "source": {"fileSet": {"@id": "shards"}, "extract": {"column": name}},
        }
        for name, kind in COLUMN_TYPES.items()
    ]
    return {"@type": "cr:RecordSet", "@id": "items", "name": "items", "key": {"@id": "items/id"}, "field": fields}
