"""Our example operations against the schema: `./run python -m tests.conformance.inspector` (needs Node and npm)."""

import subprocess
from pathlib import Path

from tests.conformance.served import SDL, install_from_npm, temporary_folder

PACKAGES = ("@graphql-inspector/cli@7", "graphql@16")
FOLDER = Path(__file__).parent / "operations"


def main() -> None:
    """Install the inspector in a temporary folder, and let it validate every operation."""
    with temporary_folder() as folder:
        install_from_npm(folder, *PACKAGES)
        # A deprecated field still answers, but an example must not teach it.
        command = [
            "node_modules/.bin/graphql-inspector",
            "validate",
            f"{FOLDER}/*.graphql",
            str(SDL),
            "--deprecated",
        ]
        done = subprocess.run(command, cwd=folder, check=False)
    if done.returncode != 0:
        raise SystemExit(f"graphql-inspector ended with {done.returncode} (see above)")
    print(f"{len(list(FOLDER.glob('*.graphql')))} operations are valid")


if __name__ == "__main__":
    main()
