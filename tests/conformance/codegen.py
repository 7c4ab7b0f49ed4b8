"""A consumer in JavaScript: `./run python -m tests.conformance.codegen` (needs Node and npm).

graphql-codegen makes types and ids, the gateway takes what it persisted and nothing else from training clients, and the
client sends ids. Once the schema breaks, graphql-inspector, graphql-codegen and our own check fail.
"""

import asyncio

from app.cli.document_registration import register_documents
from schema.actor import Role
from tests.conformance.consumer import break_schema, check_must_fail, make_project, must_fail, must_pass, pull
from tests.conformance.served import install_from_npm, temporary_folder

PACKAGES = (
    *("@graphql-codegen/cli@7", "@graphql-codegen/client-preset@6", "@graphql-inspector/cli@7"),
    *("graphql@16", "typescript@5", "@types/node@20"),
)
COMMANDS = "node_modules/.bin"
GENERATE = (f"{COMMANDS}/graphql-codegen", "--silent")
VALIDATE = (f"{COMMANDS}/graphql-inspector", "validate", "operations/*.graphql", "schema.graphql", "--deprecated")
COMPILE = (
    *(f"{COMMANDS}/tsc", "--strict", "--target", "es2022", "--module", "commonjs", "--moduleResolution", "node10"),
    *("--skipLibCheck", "--outDir", "built", "src/pull.ts"),
)


def main() -> None:
    """Make the project, run its client against a gateway of our own, and break the schema."""
    with temporary_folder() as folder:
        project = make_project("javascript", folder)
        install_from_npm(project, *PACKAGES)
        for command in (VALIDATE, GENERATE, COMPILE):
            must_pass(command, project)
        documents = project / "documents.json"
        register_documents(project / "src/gql/persisted-documents.json", "web", documents)
        only = frozenset({Role.TRAINING_CLIENT})
        asyncio.run(pull(["node", "built/pull.js"], project, documents=documents, documents_only=only))
        break_schema(project)
        must_fail(VALIDATE, project)
        must_fail(GENERATE[:1], project)
        check_must_fail(project, "src/gql/persisted-documents.json")


if __name__ == "__main__":
    main()
