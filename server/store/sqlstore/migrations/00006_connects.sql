-- +goose NO TRANSACTION
-- +goose Up

-- Users on their way to connect an account. The link, what a browser comes back with and
-- the browser's own cookie stand here as keyed digests alone.
CREATE TABLE IF NOT EXISTS connects (
    workspace_id   TEXT   NOT NULL,
    id             TEXT   NOT NULL,
    connector      TEXT   NOT NULL,
    revision       BIGINT NOT NULL CHECK (revision >= 1),
    slot           TEXT   NOT NULL,
    user_id        TEXT   NOT NULL,
    step           TEXT   NOT NULL CHECK (step IN ('OFFERED', 'AT_ISSUER', 'PROVING', 'AT_PROVIDER', 'EXCHANGING', 'CONNECTED', 'FAILED')),
    link_digest    BYTEA  NOT NULL,
    state_digest   BYTEA,
    browser_digest BYTEA,
    challenge      TEXT   NOT NULL DEFAULT '',
    signed_in      BIGINT NOT NULL DEFAULT 0,
    problem        TEXT   NOT NULL DEFAULT '',
    renews         BIGINT NOT NULL DEFAULT 0,
    ends_us        BIGINT NOT NULL DEFAULT 0,
    missing        TEXT   NOT NULL DEFAULT '[]',
    created_us     BIGINT NOT NULL,
    created_by     TEXT   NOT NULL,
    expires_us     BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, id),
    FOREIGN KEY (workspace_id, user_id) REFERENCES users (workspace_id, id)
);

-- The link or the state says which workspace it is, as a task key does.
CREATE UNIQUE INDEX IF NOT EXISTS connects_link ON connects (link_digest);

CREATE UNIQUE INDEX IF NOT EXISTS connects_state ON connects (state_digest);

CREATE INDEX IF NOT EXISTS connects_expiry ON connects (expires_us);
