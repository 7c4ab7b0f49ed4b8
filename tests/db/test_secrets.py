"""Every key follows from the one secret, and from nothing that another key has."""

import ast
from itertools import product
from pathlib import Path

from db.secrets import KeyUse, derive_key, role_password

ROOT = Path(__file__).parents[2]
SECRET, OTHER = b"a secret of tests, of tests only", b"another secret, of the same length"
# printf 'ids:client:trainer' | openssl dgst -sha256 -hmac 'a secret of tests, of tests only'
KNOWN = "edbc248f87a70165a30edeede15ca05cd39c8af9ef26b4eb6a59b29f0b6bc241"


def test_a_key_is_what_openssl_derives() -> None:
    assert derive_key(SECRET, KeyUse.IDS, "client:trainer").hex() == KNOWN
    assert role_password(SECRET, "grounds_training") == derive_key(SECRET, KeyUse.ROLE, "grounds_training").hex()


def test_no_two_uses_names_or_secrets_have_a_key_in_common() -> None:
    names = ("", "a", "b", "a:b", *KeyUse)
    keys = [derive_key(secret, use, name) for secret, use, name in product((SECRET, OTHER), KeyUse, names)]
    assert len(set(keys)) == len(keys)
    assert {len(key) for key in keys} == {32}


def test_no_other_module_derives_a_key() -> None:
    for folder in ("app", "db", "schema"):
        for path in (ROOT / folder).rglob("*.py"):
            if path.relative_to(ROOT).parts[:2] == ("schema", "client") or path == ROOT / "db" / "secrets.py":
                continue  # the client signs webhooks, with a key that it is given
            for node in ast.walk(ast.parse(path.read_text())):
                called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
                assert called.rpartition(".")[2] not in ("HKDF", "PBKDF2HMAC", "KBKDFHMAC"), path
                assert called not in ("hmac.new", "hmac.digest"), path
