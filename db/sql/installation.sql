-- Which secret this database was set up with: a command that has another one is refused before it changes anything.
CREATE TABLE grounds.installation (
    only_row boolean PRIMARY KEY DEFAULT TRUE CHECK (only_row),
    secret_fingerprint text NOT NULL,
    set_up_at timestamptz NOT NULL DEFAULT now()
);
