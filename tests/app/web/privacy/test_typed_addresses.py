"""However an address is typed at the form, the objection reaches its account, or is refused with the reason."""

import re

import pytest

from db.ingest.contacts import contact_hash
from tests.support.facts import NOW, fact
from tests.support.gateway import TestGateway
from tests.support.typed_addresses import EMAILS, PHONES, REFUSED, USER_NAMES

ADDRESS = "anna@example.org"


@pytest.fixture
async def subject_gateway(gateway: TestGateway, monkeypatch: pytest.MonkeyPatch) -> TestGateway:
    """A gateway that answers as soon as it can, with an account that has an e-mail address."""
    monkeypatch.setattr("app.web.privacy.objection_form.SECONDS_OF_AN_ANSWER", 0)
    gateway.set_clock(NOW)
    await gateway.ingest([fact("account", contacts=[contact_hash(ADDRESS)])])
    return gateway


async def test_every_way_to_type_an_address_protects_or_is_refused_with_words(subject_gateway: TestGateway) -> None:
    """No receipt is without effect: each objection reaches the account that is meant, however it is typed."""
    known = {
        name: contact_hash(address)
        for name, address in (("mail", ADDRESS), ("phone", "+491705550119"), ("name", "jane.doe"))
    }
    await subject_gateway.ingest([fact("account", id=name, contacts=[digest]) for name, digest in known.items()])
    refused = []
    for name, ways in (("mail", EMAILS), ("phone", PHONES), ("name", USER_NAMES)):
        for number, who in enumerate(ways):
            form = {"who": who, "country": "DE"}
            answer = await subject_gateway.client.post("/object?lang=de", data=form, headers=from_another(number))
            if answer.status_code == 303:
                assert reached(subject_gateway) >= {name}, who
            else:
                assert answer.status_code == 422
                refused.append(who)
    assert refused == []
    for who in REFUSED:
        answer = await subject_gateway.client.post("/object", data={"who": who}, headers=from_another(99))
        assert answer.status_code == 422, who
        assert 'id="error"' in answer.text


def from_another(number: int) -> dict[str, str]:
    """Send from another client of the proxy, so that no limit of an address is met."""
    return {"X-Forwarded-For": f"192.0.2.{number + 1}"}


def reached(gateway: TestGateway) -> set[str]:
    """Name the accounts at which the latest objection is filed, whether or not others are there already."""
    return {
        name
        for (name,) in gateway.execute(
            "SELECT a.platform_id FROM grounds.objection_target t JOIN grounds.account a"
            " ON a.own_contact = t.value OR EXISTS (SELECT FROM grounds.account_contact c"
            " WHERE c.account = a.id AND c.contact = t.value)"
            " WHERE t.objection = (SELECT max(id) FROM grounds.objection) AND t.kind = 'CONTACT'"
        )
    }


async def test_a_form_that_keeps_what_is_typed_as_it_is_would_be_noticed(
    subject_gateway: TestGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("db.ingest.contacts._clean", lambda text: text)
    answers = [await subject_gateway.client.post("/object", data={"who": who}) for who in ("anna@example.org.", "@ x")]
    assert not (all(each.status_code == 303 for each in answers) and "author" in reached(subject_gateway))


async def test_a_phone_number_of_several_countries_is_filed_for_the_one_that_is_chosen(
    subject_gateway: TestGateway,
) -> None:
    await subject_gateway.ingest([fact("account", id="german", contacts=[contact_hash("+491705550119")])])
    asked = await subject_gateway.client.post("/object?lang=de", data={"who": "0170 5550119"})
    assert asked.status_code == 422
    offered = re.findall(r'<option value="(\w\w)">([^<]+)<', asked.text)
    assert offered[0] == ("DE", "Deutschland (+49)")
    assert ("AT", "Österreich (+43)") in offered
    form = {"who": "0170 5550119", "country": "DE"}
    answer = await subject_gateway.client.post("/object", data=form, follow_redirects=True)
    assert "with the country code +49" in answer.text
    assert reached(subject_gateway) == {"german"}
