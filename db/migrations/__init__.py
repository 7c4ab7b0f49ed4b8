"""The database's shape, version by version: Alembic runs them, plain SQL says what they do."""
