"""The files of app/deploy name what exists, and Debian's nginx and Prometheus accept theirs."""

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from app import metrics
from app.server.jobs import background_jobs
from app.settings import Settings
from db.connection import METRICS
from db.embedded_process import free_port
from db.metrics import DESCRIPTIONS
from tests.support.repository import ROOT
from tests.support.shared_server import SharedServer

TOKEN = "a token of the monitoring system"
DEPLOY = ROOT / "app" / "deploy"
NAME = re.compile(r"\bgrounds_[a-z_]+")


def metric_names() -> set[str]:
    """Every name that `/metrics` can show, histograms by their base name and their parts."""
    counted = {
        sample.name
        for registry in (metrics.REGISTRY, METRICS)
        for family in registry.collect()
        for sample in family.samples
    } | {family.name for registry in (metrics.REGISTRY, METRICS) for family in registry.collect()}
    counters = {f"{name}_total" for name in counted}
    return counted | counters | {f"grounds_{name}" for name in DESCRIPTIONS} | {"grounds_build_info"}


def test_every_metric_of_the_alert_rules_and_of_the_readme_exists_and_the_readme_has_all() -> None:
    rules = set(NAME.findall((DEPLOY / "alerts.yml").read_text(encoding="utf-8")))
    readme = (ROOT / "app" / "README.md").read_text(encoding="utf-8")
    table = {name for row in re.findall(r"^\| (`grounds_.*?) \|", readme, re.MULTILINE) for name in NAME.findall(row)}
    assert rules - metric_names() == set()
    assert table - metric_names() == set()
    families = {family.name for registry in (metrics.REGISTRY, METRICS) for family in registry.collect()}
    shown = {name.removesuffix("_total") for name in table}
    assert families | {f"grounds_{name}" for name in DESCRIPTIONS} | {"grounds_build_info"} == shown


def test_the_alert_rules_name_jobs_that_exist() -> None:
    text = (DEPLOY / "alerts.yml").read_text(encoding="utf-8")
    named = {job for names in re.findall(r'job!~"([^"]+)"', text) for job in names.split("|")}
    named |= set(re.findall(r'the job \\?"([^"\\]+)', text))
    assert named - {job.name for job in background_jobs("", b"")} == set()


def test_the_files_set_settings_that_exist() -> None:
    known = {str(field.validation_alias or f"GROUNDS_{name.upper()}") for name, field in Settings.model_fields.items()}
    for file in DEPLOY.iterdir():
        named = set(re.findall(r"\b(?:GROUNDS_[A-Z_]+|DATABASE_URL)\b", file.read_text(encoding="utf-8")))
        assert named - known == set(), file.name


def test_the_container_copies_what_the_repository_has() -> None:
    named = re.findall(r"(requirements\S*\.txt|\./schema/client)", (DEPLOY / "Dockerfile").read_text(encoding="utf-8"))
    assert named
    assert all((ROOT / name).exists() for name in named)


@pytest.mark.deploy
def test_the_command_of_the_readme_lists_every_package_with_its_hashes(tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("cyclonedx-py")
    if not program.exists():
        pytest.skip("cyclonedx-bom is missing: ./run --with sbom pytest")
    (command,) = re.findall(r"--with sbom cyclonedx-py (.+) --output-file", (DEPLOY / "README.md").read_text("utf-8"))
    arguments = [str(ROOT / each) if (ROOT / each).is_file() else each for each in command.split()]
    run_tool([str(program), *arguments, "--output-file", str(tmp_path / "sbom.json")])
    listed = json.loads((tmp_path / "sbom.json").read_text())["components"]
    locked = re.findall(r"^([\w.-]+)==([\w.+!]+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert sorted((each["name"], each["version"]) for each in listed) == sorted(locked)
    assert all(each["externalReferences"][0]["hashes"] for each in listed)


@pytest.mark.deploy
def test_nginx_accepts_its_configuration(tmp_path: Path) -> None:
    site = (DEPLOY / "nginx.conf").read_text(encoding="utf-8")
    for kind in ("pem", "key"):
        site = site.replace(f"/etc/ssl/grounds.{kind}", str(tmp_path / f"grounds.{kind}"))
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=grounds.example.org"]
    files = ["-keyout", str(tmp_path / "grounds.key"), "-out", str(tmp_path / "grounds.pem")]
    run_tool([*make, *files])
    whole = tmp_path / "nginx.conf"
    whole.write_text(f"pid {tmp_path}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{\n{site}\n}}\n")
    run_tool(["nginx", "-t", "-q", "-c", str(whole)])


@pytest.mark.deploy
async def test_prometheus_reads_the_metrics_and_runs_every_rule(shared_server: SharedServer, tmp_path: Path) -> None:
    run_tool(["promtool", "check", "rules", str(DEPLOY / "alerts.yml")])
    (tmp_path / "token").write_text(TOKEN)
    async with shared_server.gateway(metrics_token=TOKEN) as gateway, prometheus(gateway.address, tmp_path) as asked:
        rules = re.findall(r"expr: (.+)", (DEPLOY / "alerts.yml").read_text(encoding="utf-8"))
        for rule in rules:
            answer = (await asked.get("/api/v1/query", params={"query": rule})).json()
            assert answer["status"] == "success", rule
        up = await asked.get("/api/v1/query", params={"query": "grounds_build_info"})
        assert len(up.json()["data"]["result"]) == 1


@asynccontextmanager
async def prometheus(gateway: str, folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    """Start Debian's Prometheus, which scrapes a gateway every second, and wait for its first scrape."""
    target = gateway.removeprefix("http://")
    (folder / "prometheus.yml").write_text(
        "global: {scrape_interval: 1s}\n"
        f"scrape_configs: [{{job_name: grounds, authorization: {{credentials_file: {folder}/token}},"
        f" static_configs: [{{targets: ['{target}']}}]}}]\n"
    )
    port = free_port()
    command = ["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
    with (folder / "log").open("w") as log:
        address = f"--web.listen-address=127.0.0.1:{port}"
        process = await asyncio.create_subprocess_exec(*command, address, stdout=log, stderr=log)
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            for _ in range(150):
                if await has_scraped(client):
                    break
                await asyncio.sleep(0.2)
            yield client
    finally:
        process.terminate()
        await process.wait()


async def has_scraped(client: httpx.AsyncClient) -> bool:
    try:
        answer = await client.get("/api/v1/query", params={"query": 'up{job="grounds"} == 1'})
    except httpx.TransportError:
        return False
    return answer.is_success and bool(answer.json()["data"]["result"])


def run_tool(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
