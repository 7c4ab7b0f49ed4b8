"""The API reference: what a role sees, queries that are run and recorded, and what is refused."""

import html
import re

from schema.actor import Role
from tests.app.web.dashboard.test_reason import strict_gateway as strict_gateway  # a fixture, found here by name
from tests.support.dashboard import dashboard_browser
from tests.support.facts import fact
from tests.support.gateway import TestGateway

PAGE = "/dashboard/graphql"


def answer_of(page: str) -> str:
    """Return the answer that the page shows."""
    return html.unescape(page.partition('<h2 id="result">')[2].partition("</pre>")[0])


async def test_a_browser_at_graphql_is_led_to_the_reference_and_a_program_is_not(gateway: TestGateway) -> None:
    opened = await gateway.client.get("/graphql", headers={"Accept": "text/html"})
    assert (opened.status_code, opened.headers["location"]) == (303, PAGE)
    unsigned = await gateway.client.get(PAGE)
    assert unsigned.headers["location"] == "/dashboard/sign-in?next=%2Fdashboard%2Fgraphql"
    assert (await gateway.client.get("/graphql")).status_code in (400, 401)


async def test_each_role_sees_what_it_can_read_and_no_more(gateway: TestGateway) -> None:
    async with dashboard_browser(gateway, Role.PRIVACY_OFFICER) as officer:
        page = (await officer.get(PAGE)).text
        assert 'id="ObjectionTarget"' in page
        assert "staffReads" in page
    async with dashboard_browser(gateway, Role.DASHBOARD) as dashboard:
        page = (await dashboard.get(PAGE)).text
        for hidden in ("ObjectionTarget", "staffReads", "trainableContent", "type Mutation"):
            assert hidden not in page, hidden
        assert "coverageSeries" in page
        links = set(re.findall(r'href="#(\w+)"', page)) - {"content"}
        assert links <= set(re.findall(r'id="(\w+)"', page))


async def test_a_query_is_run_with_the_rights_of_its_reader_and_recorded(gateway: TestGateway) -> None:
    await gateway.ingest([fact("account"), fact("content")])
    query = {"query": "query Q($id: ID!) { account(id: $id) { product } }", "variables": '{"id": "author"}'}
    async with dashboard_browser(gateway, Role.PRIVACY_OFFICER, name="anna") as browser:
        assert '"product": "FACEBOOK"' in answer_of((await browser.post(PAGE, data=query)).text)
        assert gateway.execute("SELECT reader, fields FROM grounds.staff_read") == [("anna", ["account"])]
        mutation = 'mutation { openHold(scope: GLOBAL, authority: "a", reason: "b") { id } }'
        refused = await browser.post(PAGE, data={"query": mutation})
        assert (refused.status_code, "Only queries can be run here" in refused.text) == (422, True)
        assert gateway.execute("SELECT count(*) FROM grounds.hold") == [(0,)]
        wrong = await browser.post(PAGE, data=query | {"variables": "[]"})
        assert (wrong.status_code, "variables: must be a JSON object" in wrong.text) == (422, True)
        assert "nothing" in answer_of((await browser.post(PAGE, data={"query": "{ nothing }"})).text)
        foreign = await browser.post(PAGE, data=query, headers={"Origin": "https://other.example"})
        assert foreign.status_code == 403
    async with dashboard_browser(gateway, Role.DASHBOARD) as browser:
        answer = answer_of((await browser.post(PAGE, data=query)).text)
        assert "FORBIDDEN" in answer
        assert "FACEBOOK" not in answer


async def test_a_query_needs_the_reason_that_the_gateway_requires(strict_gateway: TestGateway) -> None:
    async with dashboard_browser(strict_gateway, Role.PRIVACY_OFFICER) as browser:
        kept = await browser.post(PAGE, data={"query": '{ account(id: "author") { product } }'})
        assert (kept.status_code, "state why you read" in kept.text) == (422, True)
        await browser.post("/dashboard/reason", data={"reason": "case 17"})
        answer = await browser.post(PAGE, data={"query": '{ account(id: "author") { product } }'})
        assert "FACEBOOK" in answer_of(answer.text)
