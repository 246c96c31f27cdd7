-- +goose NO TRANSACTION
-- +goose Up

CREATE TABLE IF NOT EXISTS connectors (
    workspace_id     TEXT   NOT NULL,
    name             TEXT   NOT NULL,
    current_revision BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, name)
);

CREATE TABLE IF NOT EXISTS connector_revisions (
    workspace_id TEXT   NOT NULL,
    name         TEXT   NOT NULL,
    revision     BIGINT NOT NULL CHECK (revision >= 1),
    sha256       TEXT   NOT NULL,
    manifest     TEXT   NOT NULL,
    applied_us   BIGINT NOT NULL,
    applied_by   TEXT   NOT NULL,
    withdrawn_us BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (workspace_id, name, revision),
    FOREIGN KEY (workspace_id, name) REFERENCES connectors (workspace_id, name)
);

-- Only the newest version of a credential is kept: a new one overwrites the sealed
-- bytes of the old.
CREATE TABLE IF NOT EXISTS credentials (
    workspace_id TEXT   NOT NULL,
    id           TEXT   NOT NULL,
    connector    TEXT   NOT NULL,
    slot         TEXT   NOT NULL,
    user_id      TEXT   NOT NULL,
    kind         TEXT   NOT NULL,
    version      BIGINT NOT NULL CHECK (version >= 1),
    destination  TEXT   NOT NULL,
    origins      TEXT   NOT NULL,
    kek_id       TEXT   NOT NULL,
    wrapped_dek  BYTEA  NOT NULL,
    ciphertext   BYTEA  NOT NULL,
    created_us   BIGINT NOT NULL,
    created_by   TEXT   NOT NULL,
    PRIMARY KEY (workspace_id, id)
);

CREATE UNIQUE INDEX IF NOT EXISTS credentials_owner ON credentials (workspace_id, connector, slot, user_id);

CREATE INDEX IF NOT EXISTS credentials_kek ON credentials (kek_id);

-- What caches must forget; the newest time for each thing is enough.
CREATE TABLE IF NOT EXISTS changes (
    workspace_id TEXT   NOT NULL,
    kind         TEXT   NOT NULL,
    id           TEXT   NOT NULL,
    at_us        BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, kind, id)
);

CREATE INDEX IF NOT EXISTS changes_at ON changes (at_us);
