"""The development issuer: its tokens are accepted, and its key pair is made once."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from app.auth.authenticator import Authenticator, static_keys
from app.auth.dev_issuer import DEVELOPMENT_AUDIENCE, DEVELOPMENT_ISSUER, DevelopmentIssuer
from schema.actor import Role
from tests.support.tokens import (
    KEY,
    public,
)


async def test_a_development_token_of_every_role_is_accepted_and_states_what_the_role_uses(tmp_path: Path) -> None:
    keys = static_keys(jwks := DevelopmentIssuer.open(tmp_path).jwks())
    let_in = Authenticator(keys, issuer=DEVELOPMENT_ISSUER, audience=DEVELOPMENT_AUDIENCE)
    used = {Role.TRAINING_CLIENT: ("demo", "TEST", None), Role.DATA_SUBJECT: (None, None, "account-1")}
    for role in Role:
        token = DevelopmentIssuer.open(tmp_path).token(role, client="demo", purpose="TEST", subject="account-1")
        actor = await let_in.actor("Bearer " + token)
        assert actor.role is role
        assert (actor.client, actor.purpose, actor.subject) == used.get(role, (None, None, None))
    assert "d" not in jwks["keys"][0]
    assert (tmp_path / "issuer.json").stat().st_mode & 0o777 == 0o600


def test_a_development_token_that_would_be_refused_is_not_made(tmp_path: Path) -> None:
    wrong: list[tuple[str, Role, dict[str, Any]]] = [
        ("client", Role.TRAINING_CLIENT, {"purpose": "TEST"}),
        ("purpose", Role.TRAINING_CLIENT, {"client": "demo"}),
        ("subject", Role.DATA_SUBJECT, {}),
        *[("3600", Role.AUDITOR, {"lifetime_seconds": lifetime}) for lifetime in (0, 3601)],
    ]
    for missing, role, given in wrong:
        with pytest.raises(ValueError, match=missing):
            DevelopmentIssuer.open(tmp_path).token(role, **given)


def test_a_damaged_key_pair_is_told_and_not_replaced(tmp_path: Path) -> None:
    for content in ("", "{}", "5", '{"kty": "oct", "k": "AAAA"}', json.dumps(public(KEY)["keys"][0])):
        (tmp_path / "issuer.json").write_text(content)
        with pytest.raises(ValueError, match=r"issuer\.json"):
            DevelopmentIssuer.open(tmp_path)
        assert (tmp_path / "issuer.json").read_text() == content


@pytest.mark.ci
def test_processes_and_threads_that_start_together_get_one_key_pair(tmp_path: Path) -> None:
    race = (
        "import pathlib, sys; from app.auth.dev_issuer import DevelopmentIssuer; print('ready', flush=True)"
        "; sys.stdin.read(1); print(DevelopmentIssuer.open(pathlib.Path(sys.argv[1])).jwks()['keys'][0]['x'])"
    )
    command = [sys.executable, "-c", race, str(tmp_path / "data")]
    runners = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    for runner in runners:
        assert runner.stdout is not None
        assert runner.stdout.readline() == "ready\n"
    with ThreadPoolExecutor(11) as pool:
        answers = [pool.submit(runner.communicate, "go\n") for runner in runners]
        opened = list(pool.map(lambda _: DevelopmentIssuer.open(tmp_path / "data").jwks(), range(8)))
    assert len({answer.result()[0].strip() for answer in answers} | {jwks["keys"][0]["x"] for jwks in opened}) == 1
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["issuer.json"]
