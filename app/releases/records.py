"""The documents about a release that the law requires: a training summary and a record of the processing."""

from typing import Final

from app.releases.bundle import UNKNOWN, Bundle, Document, as_json
from db.policy.grounds import CONSENT, GROUNDS
from db.vocabulary import ContentKind

_DPV: Final = "https://w3id.org/dpv#"


def training_summary(bundle: Bundle) -> Document:
    """Write the figures that the template of the AI Act's Article 53(1)(d) asks for: 1.3, 2.1 to 2.6 and 3.1."""
    kinds, months = bundle.by("kind"), sorted(set(bundle.by("month")) - {UNKNOWN})
    return as_json(
        {
            "template": "AI Act Article 53(1)(d), template of the European Commission",
            "release": {"name": bundle.release.name, "version": bundle.release.version},
            "1.3": {
                "items": bundle.release.items,
                "characters": bundle.characters,
                "itemsWithMediaByType": bundle.by("mediaType"),
                "itemsByLanguage": bundle.by("language"),
                "firstMonth": months[0] if months else None,
                "lastMonth": months[-1] if months else None,
            },
            **{section: {"used": False} for section in ("2.1", "2.2", "2.3", "2.5", "2.6")},
            "2.4": {
                "fromInteractionsWithTheModel": kinds.get(ContentKind.AI_INTERACTION, 0) > 0,
                "fromOtherServices": any(kind != ContentKind.AI_INTERACTION for kind in kinds),
                "itemsByService": bundle.by("product"),
                "itemsByKind": kinds,
                "itemsByGround": bundle.by("ground"),
            },
            "3.1": {
                "reservationsOfRightsRespected": True,
                "conditions": ["NO_RIGHTS_RESERVATION"],
            },
        }
    )


def processing_record(bundle: Bundle) -> Document:
    """Record the processing in the shape of ISO/IEC TS 27560 and the terms of DPV: notices, objections and consents."""
    policy, release = bundle.policy, bundle.release
    stated = bundle.by("ground")
    return as_json(
        {
            "schema_version": "ISO/IEC TS 27560:2023",
            "record_id": f"{release.name} {release.version}",
            "pii_principals": "The authors of the items, under the pseudonyms of the column `author`.",
            "processing": [
                {
                    "purpose": release.purpose,
                    "purpose_type": "https://w3id.org/dpv/ai#ModelTraining",
                    "ground": code,
                    "lawful_basis": GROUNDS[code].dpv,
                    "items": stated.get(code, 0),
                    "status": f"{_DPV}{_status(GROUNDS[code].dpv)}",
                    "notice": {"epoch": policy.notice.epoch, "status": f"{_DPV}NoticeCommunicated"},
                    "withdrawal": "Retractions tell the client which items it must delete, with the deadline.",
                    "jurisdiction": policy.regions,
                }
                for code in policy.grounds
            ],
            "parties": {
                "controller": policy.controller.name if policy.controller else None,
                "recipient": bundle.client,
            },
        }
    )


def _status(basis: str) -> str:
    """Name what the authors of a release's items did by a term of DPV: an objection is never called a consent."""
    return "ConsentGiven" if basis == CONSENT else "LegitimateInterestNotObjected"
