"""Settings come from the environment; a wrong one stops the start with words that hold no secret."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import httpx
import psycopg
import pytest

from app.auth.dev_issuer import DevelopmentIssuer
from app.server.bootstrap import open_current_database
from app.settings import Settings, SettingsError, read_settings
from schema.actor import Role
from tests.support.command import environment, grounds, serving, summaries, write
from tests.support.facts import fact
from tests.support.gateway import SECRET

PASSWORD = "pass-that-nobody-may-see"  # a canary
IDENTITY = {"GROUNDS_JWKS": "keys.json", "GROUNDS_ISSUER": "https://issuer.example", "GROUNDS_AUDIENCE": "grounds"}


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin without the settings of the test run."""
    for name in os.environ.keys() - environment(Path()).keys():
        monkeypatch.delenv(name)


def refusal(monkeypatch: pytest.MonkeyPatch, **environment: str) -> str:
    with monkeypatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        with pytest.raises(SettingsError) as refused:
            read_settings()
    return str(refused.value)


def test_nothing_has_to_be_set(tmp_path: Path) -> None:
    settings = read_settings(tmp_path / "data")
    assert settings == Settings(data=tmp_path / "data")
    assert (settings.database_url, settings.jwks, settings.connections) == (None, None, 8)


def test_what_is_set_to_nothing_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    more = ("GROUNDS_HOSTS", "GROUNDS_ORIGINS", "GROUNDS_DOCUMENTS", "GROUNDS_DOCUMENTS_ONLY", "GROUNDS_GRAPHIQL")
    for name in ("DATABASE_URL", "GROUNDS_SECRET", "GROUNDS_DATA", *IDENTITY, *more):
        monkeypatch.setenv(name, "")
    assert read_settings() == Settings(data=Path(".grounds"))


def test_an_identity_provider_is_named_wholly_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    for missing in IDENTITY:
        told = refusal(monkeypatch, **{name: value for name, value in IDENTITY.items() if name != missing})
        assert told.startswith(f"{missing}: must be set together with ")
        assert told.endswith("or none of them to use the development issuer)")
    assert refusal(monkeypatch, GROUNDS_JWKS="keys.json").startswith(
        "GROUNDS_ISSUER and GROUNDS_AUDIENCE: must be set "
    )
    for name, value in IDENTITY.items():
        monkeypatch.setenv(name, value)
    assert read_settings().jwks == "keys.json"


def test_lists_are_written_with_commas_between(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROUNDS_HOSTS", "Grounds.example.org, 10.0.0.7,[2001:DB8::7]")
    monkeypatch.setenv("GROUNDS_ORIGINS", "https://app.example.org,http://LOCALHOST:3000,http://[::1]:80")
    monkeypatch.setenv("GROUNDS_DOCUMENTS", "documents.json")
    monkeypatch.setenv("GROUNDS_DOCUMENTS_ONLY", "TRAINING_CLIENT, DASHBOARD")
    settings = read_settings()
    assert settings.hosts == {"grounds.example.org", "10.0.0.7", "[2001:db8::7]"}
    assert settings.origins == {"https://app.example.org", "http://localhost:3000", "http://[::1]:80"}
    assert settings.documents == Path("documents.json")
    assert settings.documents_only == {Role.TRAINING_CLIENT, Role.DASHBOARD}


@pytest.mark.parametrize(
    ("name", "said", "values"),
    [
        (
            "HOSTS",
            "must be a list of host names or addresses, without scheme, port or * (",
            ("*", "*.example.org", "https://example.org", "example.org:443", "::1", "a b", ","),
        ),
        (
            "ORIGINS",
            "must be a list of origins, without path or * (write https://app.example.org,http://localhost:3000)",
            ("*", "null", "example.org", "https://a.example.org/", "ftp://a", "https://*.a"),
        ),
        (
            "DOCUMENTS_ONLY",
            "must be a list of roles, separated by commas (choose from ",
            ("training_client", "EVERYONE", "AUDITOR,", "*", '["AUDITOR"]'),
        ),
        ("GRAPHIQL", "Input should be a valid boolean", ("maybe", "2")),
        ("INTROSPECTION", "Input should be a valid boolean", ("never", "off,on")),
    ],
)
def test_what_is_no_list_or_no_switch_is_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch, name: str, said: str, values: tuple[str, ...]
) -> None:
    monkeypatch.setenv("GROUNDS_DOCUMENTS", "documents.json")
    for value in values:
        told = refusal(monkeypatch, **{f"GROUNDS_{name}": value})
        assert told.startswith(f"GROUNDS_{name}: {said}"), value
        assert "\n" not in told


def test_roles_are_kept_to_documents_only_where_there_are_some(monkeypatch: pytest.MonkeyPatch) -> None:
    said = (
        "GROUNDS_DOCUMENTS_ONLY: the roles in this setting can send only trusted documents, but no trusted documents"
        " are set (set GROUNDS_DOCUMENTS too)"
    )
    assert refusal(monkeypatch, GROUNDS_DOCUMENTS_ONLY="TRAINING_CLIENT") == said


def test_what_is_not_set_is_closed_but_the_schema(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = read_settings()
    assert not settings.hosts | settings.origins
    assert (settings.documents, len(settings.documents_only)) == (None, 0)
    assert (settings.introspection, settings.graphiql) == (True, False)
    monkeypatch.setenv("GROUNDS_INTROSPECTION", "false")
    monkeypatch.setenv("GROUNDS_GRAPHIQL", "true")
    settings = read_settings()
    assert (settings.introspection, settings.graphiql) == (False, True)


@pytest.mark.parametrize(
    "url",
    [
        "nonsense",
        f"host=127.0.0.1 password={PASSWORD}",
        f"mysql://user:{PASSWORD}@127.0.0.1/db",
        f"http://user:{PASSWORD}@127.0.0.1/db",
        f"postgresql://user:{PASSWORD}/@127.0.0.1/db",
        f"postgresql://user:@{PASSWORD}@127.0.0.1/db",
        f"postgresql://user:{PASSWORD}#@127.0.0.1/db",
        f"postgresql://user:{PASSWORD}%zz@127.0.0.1/db",
        f"postgresql://user:{PASSWORD}@127.0.0.1:0/db",
        f"postgresql://user:{PASSWORD}@127.0.0.1:99999/db",
        f"postgresql://user:{PASSWORD}@127.0.0.1:port/db",
        f"postgresql://user:{PASSWORD}@127.0.0.1/db?option={PASSWORD}",
    ],
)
def test_a_database_url_that_cannot_be_one_is_refused_without_its_password(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    told = refusal(monkeypatch, DATABASE_URL=url)
    assert told.startswith(
        "DATABASE_URL: must be the URL of a PostgreSQL database (write postgresql://user:password@host:5432/database"
    )
    assert PASSWORD not in told


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:p%40ss%2Fword@127.0.0.1:5432/grounds",
        "postgres://user@[::1]/grounds?sslmode=require",
        "postgresql:///grounds?host=/run/postgresql",
        "postgresql://user@one:5432,two:5433/grounds?target_session_attrs=primary",
    ],
)
def test_a_database_url_may_be_any_that_the_drivers_read_alike(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    settings = read_settings()
    assert settings.database_url == url
    assert "ss%2Fword" not in repr(settings)


def test_of_several_database_servers_the_url_leads_to_the_primary_in_every_form(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    forms = {
        "postgresql://user@one:5432,two:5433/grounds": "?target_session_attrs=primary",
        "postgresql://user@one,two:5433/grounds?sslmode=require": "&target_session_attrs=primary",
        "postgresql://user@/grounds?host=one,two&port=5432,5433": "&target_session_attrs=primary",
        "postgresql://user@one:5432,two:5433/grounds?target_session_attrs=any": "",
    }
    for url, added in forms.items():
        monkeypatch.setenv("DATABASE_URL", url)
        assert read_settings().database_url == url + added
    monkeypatch.setenv("DATABASE_URL", "postgresql://user@one,two/grounds?target_session_attrs=read-write")
    assert read_settings().database_url == "postgresql://user@one,two/grounds?target_session_attrs=primary"
    for wanted in ("standby", "read-only", "prefer-standby"):
        told = refusal(monkeypatch, DATABASE_URL=f"postgresql://user@one,two/grounds?target_session_attrs={wanted}")
        assert told.startswith("DATABASE_URL: must not lead to a standby server (write target_session_attrs=primary,")
    told = refusal(monkeypatch, DATABASE_URL="postgresql://user@one:5432,two:0/grounds")
    assert told.startswith("DATABASE_URL: must be the URL of a PostgreSQL database")


def test_a_standby_server_is_named_without_a_user(monkeypatch: pytest.MonkeyPatch) -> None:
    urls = ("postgresql://one:5432/grounds", "postgresql://one,two/grounds?target_session_attrs=standby")
    for url in urls:
        monkeypatch.setenv("GROUNDS_REPLICA_URL", url)
        assert read_settings().replica_url == url
    wrong = (
        "postgresql://user@one/grounds",
        "http://one/grounds",
        "postgresql:///grounds",
        "postgresql://one:0/grounds",
    )
    for url in (*wrong, "postgresql://one/grounds?target_session_attrs=primary", "postgresql://one/grounds?x=1"):
        told = refusal(monkeypatch, GROUNDS_REPLICA_URL=url)
        assert told.startswith("GROUNDS_REPLICA_URL: must be the URL of a standby server without a user"), url


def test_every_fault_is_told_and_no_secret_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    told = refusal(monkeypatch, GROUNDS_SECRET=PASSWORD[:20], GROUNDS_CONNECTIONS="0", DATABASE_URL=PASSWORD)
    assert sorted(line.partition(":")[0] for line in told.splitlines()) == [
        "DATABASE_URL",
        "GROUNDS_CONNECTIONS",
        "GROUNDS_SECRET",
    ]
    assert PASSWORD[:20] not in told
    monkeypatch.setenv("GROUNDS_SECRET", PASSWORD * 2)
    assert PASSWORD not in repr(read_settings())


def test_the_secret_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    settings = [Settings(data=tmp_path / "deep" / "data") for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        (secret,) = set(pool.map(Settings.secret_bytes, settings))
    assert len(secret) == 64
    assert Settings(data=tmp_path / "deep" / "data").secret_bytes() == secret
    assert [file.name for file in (tmp_path / "deep" / "data").iterdir()] == ["secret"]
    assert stat.S_IMODE((tmp_path / "deep" / "data" / "secret").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "deep" / "data").stat().st_mode) == 0o700
    assert Settings(data=tmp_path, secret="s" * 32).secret_bytes() == b"s" * 32


def test_a_damaged_secret_is_told_and_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("short")
    with pytest.raises(SettingsError, match="must contain 64 hexadecimal digits"):
        Settings(data=tmp_path).secret_bytes()
    (tmp_path / "secret").unlink()
    (tmp_path / "secret").mkdir()
    with pytest.raises(SettingsError, match="Is a directory"):
        Settings(data=tmp_path).secret_bytes()


def test_a_data_folder_that_cannot_be_made_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "data"):
        with pytest.raises(
            SettingsError, match=r"cannot create the data folder .* \(pass another folder with --data\)"
        ):
            Settings(data=folder).data_folder()


def test_a_database_user_who_may_not_set_it_up_is_told_so(database_url: str, tmp_path: Path) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("CREATE ROLE weak LOGIN PASSWORD 'weak'")
        try:
            place = urlsplit(database_url)
            url = urlunsplit(place._replace(netloc=f"weak:weak@{place.hostname}:{place.port}"))
            with (
                pytest.raises(SettingsError) as refused,
                open_current_database(Settings(data=tmp_path, database_url=url)),
            ):
                pass
        finally:
            connection.execute("DROP ROLE weak")
    said = "DATABASE_URL: the user may not set up the database (use a user that owns the database and may create roles)"
    assert str(refused.value) == said


@pytest.mark.xdist_group("serve")
def test_a_wrong_setting_stops_a_command_in_its_own_words(tmp_path: Path) -> None:
    unreachable = f"postgresql://user:{PASSWORD}@127.0.0.1:1/db"
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "issuer.json").write_text("{}")
    for env, said in (
        ({"GROUNDS_JWKS": "keys.json"}, "grounds: GROUNDS_ISSUER and GROUNDS_AUDIENCE: must be set "),
        ({"DATABASE_URL": unreachable}, "grounds: cannot connect to PostgreSQL (check DATABASE_URL): "),
        ({"DATABASE_URL": unreachable + "?x=1"}, "grounds: DATABASE_URL: must be the URL of a PostgreSQL "),
    ):
        told = grounds("serve", "--port", "0", data=tmp_path / "data", env=env)
        assert (told.returncode, told.stdout) == (2, "")
        assert told.stderr.startswith(said)
        assert PASSWORD not in told.stderr
    told = grounds("token", "--role", "AUDITOR", data=tmp_path / "data", env=IDENTITY)
    assert (
        told.returncode,
        told.stderr.startswith("grounds: GROUNDS_JWKS: is set, so your identity provider issues the tokens"),
    ) == (2, True)


@pytest.mark.xdist_group("serve")
def test_a_postgresql_of_ones_own_and_an_identity_provider_serve_as_well(database_url: str, tmp_path: Path) -> None:
    data = tmp_path / "data"
    env = {"DATABASE_URL": database_url, "GROUNDS_SECRET": SECRET.decode()}
    told = grounds("serve", "--port", "0", data=data, env=env | IDENTITY)
    assert (told.returncode, told.stdout) == (2, "")
    assert told.stderr.startswith("grounds: GROUNDS_JWKS: ")
    told = grounds("ingest", write(tmp_path / "facts", fact("account")), data=data, env=env)
    assert (told.returncode, summaries(told.stdout)) == (0, [{"account": [1, 0, 0, 0]}])
    with serving(data, tmp_path / "log", env=env) as server:
        assert httpx.get(f"{server.address}/ready").json()["status"] == "ready"
        bearer = {"Authorization": f"Bearer {DevelopmentIssuer.open(data).token(Role.AUDITOR)}"}
        query = {"query": "{ accounts(first: 5) { nodes { product } } }"}
        answer = httpx.post(f"{server.address}/graphql", json=query, headers=bearer).json()
        assert answer == {"data": {"accounts": {"nodes": [{"product": "FACEBOOK"}]}}}
        assert server.stop() == 0
    assert not (data / "postgres").exists()
    assert not (data / "secret").exists()


def test_what_is_secret_can_come_from_a_file_or_a_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    secret, url = tmp_path / "secret", tmp_path / "url"
    secret.write_text(f"{SECRET.decode()}\n")
    url.write_text("postgresql://admin@db.example.org:5432/grounds?target_session_attrs=primary\n")
    monkeypatch.setenv("GROUNDS_SECRET_FILE", str(secret))
    monkeypatch.setenv("DATABASE_URL_FILE", str(url))
    assert read_settings().secret_bytes() == SECRET
    monkeypatch.setenv("GROUNDS_PASSWORD_COMMAND", f"printf '%s\\n' '{PASSWORD}@/:'")
    assert read_settings().database_url == (
        f"postgresql://admin:{PASSWORD}%40%2F%3A@db.example.org:5432/grounds?target_session_attrs=primary"
    )
    assert PASSWORD not in repr(read_settings())


def test_a_file_or_a_command_that_gives_nothing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("short")
    assert refusal(monkeypatch, GROUNDS_SECRET_FILE=str(tmp_path / "none")).startswith(
        f"GROUNDS_SECRET_FILE: cannot read {tmp_path}/none, No such file"
    )
    twice = refusal(monkeypatch, GROUNDS_SECRET_FILE=str(file), GROUNDS_SECRET=SECRET.decode())
    assert twice.startswith("GROUNDS_SECRET: is set together with GROUNDS_SECRET_FILE")
    assert "short" not in refusal(monkeypatch, GROUNDS_SECRET_FILE=str(file))
    here = {"DATABASE_URL": "postgresql://admin@db.example.org/grounds"}
    for command in ("false", "true", "/does/not/exist", "'"):
        told = refusal(monkeypatch, GROUNDS_PASSWORD_COMMAND=command, **here)
        assert told.startswith("GROUNDS_PASSWORD_COMMAND: printed no password")
    known = {"DATABASE_URL": f"postgresql://admin:{PASSWORD}@db.example.org/grounds"}
    told = refusal(monkeypatch, GROUNDS_PASSWORD_COMMAND="echo x", **known)
    assert "no password" in told
    assert PASSWORD not in told
