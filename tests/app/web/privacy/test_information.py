"""Everyone reads who is responsible, for what and with which rights; each form links there."""

import html
import json

from app.campaigns.templates import write_texts
from app.web.privacy.rendering import languages_offered, texts_of
from db.policies.activation import activate_policy
from db.policy.document import Use, default_policy, parse_policy
from db.vocabulary import MessageKind
from schema.actor import Role
from tests.support.facts import NOW
from tests.support.gateway import TestGateway


async def test_each_form_links_to_who_is_responsible_and_the_page_names_them(gateway: TestGateway) -> None:
    controller = default_policy().controller
    assert controller is not None
    for language in languages_offered():
        form = await gateway.client.get("/object", params={"lang": language})
        assert f'href="/information?lang={language}"' in form.text
        assert f"<strong>{controller.name}</strong>" in form.text
        shown = await gateway.client.get("/information", params={"lang": language})
        assert (shown.status_code, shown.headers["Content-Language"]) == (200, language)
        assert all(part in shown.text for part in controller.model_dump().values() if isinstance(part, str))
        statements = controller.statements_in("en") | controller.statements_in(language)
        assert all(statement in shown.text for statement in statements.values())
        assert html.escape(texts_of(language)["information"]["bases"]["PUBLIC_CONTENT"], quote=False) in shown.text
        assert f'href="/object?lang={language}"' in shown.text


async def test_what_the_controller_does_not_state_is_not_claimed(gateway: TestGateway) -> None:
    document = json.loads(default_policy().document()) | {"version": "less"}
    document["controller"] |= {"storage": {"en": "Thirty days."}, "transfers": None}
    policy = parse_policy(json.dumps(document))
    activate_policy(gateway.database_url, policy)
    missing = [warning for warning in policy.warnings(NOW) if warning.startswith("controller")]
    assert [warning.partition(":")[0] for warning in missing] == ["controller.recipients", "controller.transfers"]
    for language in ("en", "de"):
        shown = (await gateway.client.get("/information", params={"lang": language})).text
        assert "Thirty days." in shown
        assert texts_of(language)["information"]["unstated"] in shown
    query = "{ policy { controller { storage { language text } transfers { text } } } }"
    controller = (await gateway.ask(Role.TRAINING_CLIENT, query))["policy"]["controller"]
    assert controller == {"storage": [{"language": "en", "text": "Thirty days."}], "transfers": []}


async def test_who_receives_data_is_shown_as_the_controller_states_it(gateway: TestGateway) -> None:
    document = json.loads(default_policy().document()) | {"version": "recipients"}
    document["controller"] |= {"recipients": {"en": "Example Models Ltd, which trains models.", "de": "Ein Anbieter."}}
    policy = parse_policy(json.dumps(document))
    activate_policy(gateway.database_url, policy)
    for language, told in (("en", "Example Models Ltd"), ("de", "Ein Anbieter."), ("fr", "Example Models Ltd")):
        assert told in (await gateway.client.get("/information", params={"lang": language})).text
    use = Use("GENAI_TRAINING", "POST", "FACEBOOK")
    notices = write_texts(None, MessageKind.NOTICE, policy, [use], NOW)
    assert "Recipient: Example Models Ltd, which trains models.\n" in notices["en"]
    assert "Ein Anbieter.\n" in notices["de"]


async def test_without_a_controller_there_is_nothing_to_show_and_the_form_is_still_there(gateway: TestGateway) -> None:
    document = json.loads(default_policy().document()) | {"version": "nobody", "controller": None}
    activate_policy(gateway.database_url, parse_policy(json.dumps(document)))
    for path in ("/information", "/"):
        shown = await gateway.client.get(path, headers={"Accept": "text/html"})
        assert shown.status_code == 404
        assert "do not say who is responsible" in shown.text
    assert (await gateway.client.get("/object")).status_code == 200
