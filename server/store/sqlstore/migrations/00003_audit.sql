-- +goose NO TRANSACTION
-- +goose Up

-- Brokers, keys and chains belong to the installation and not to a workspace.

CREATE TABLE IF NOT EXISTS brokers (
    incarnation TEXT   NOT NULL,
    broker_id   TEXT   NOT NULL,
    lease_us    BIGINT NOT NULL,
    keys_loaded TEXT   NOT NULL,
    PRIMARY KEY (incarnation)
);

CREATE INDEX IF NOT EXISTS brokers_lease ON brokers (lease_us);

CREATE TABLE IF NOT EXISTS keys (
    purpose      TEXT   NOT NULL,
    id           TEXT   NOT NULL,
    state        TEXT   NOT NULL CHECK (state IN ('pending', 'active', 'retired')),
    wrapped      BYTEA  NOT NULL,
    created_us   BIGINT NOT NULL,
    activated_us BIGINT NOT NULL,
    PRIMARY KEY (purpose, id)
);

CREATE UNIQUE INDEX IF NOT EXISTS keys_one_active ON keys (purpose) WHERE state = 'active';

CREATE UNIQUE INDEX IF NOT EXISTS keys_one_pending ON keys (purpose) WHERE state = 'pending';

CREATE TABLE IF NOT EXISTS audit_chains (
    chain_id    TEXT    NOT NULL,
    broker_id   TEXT    NOT NULL,
    incarnation TEXT    NOT NULL,
    opened_us   BIGINT  NOT NULL,
    closed      BOOLEAN NOT NULL DEFAULT FALSE,
    head_seq    BIGINT  NOT NULL DEFAULT 0,
    head_hash   BYTEA,
    PRIMARY KEY (chain_id)
);

CREATE INDEX IF NOT EXISTS audit_chains_open ON audit_chains (incarnation) WHERE closed = FALSE;

CREATE TABLE IF NOT EXISTS audit_events (
    chain_id           TEXT   NOT NULL,
    seq                BIGINT NOT NULL,
    workspace_id       TEXT   NOT NULL,
    broker_id          TEXT   NOT NULL,
    time_us            BIGINT NOT NULL,
    kind               TEXT   NOT NULL,
    invocation_id      TEXT   NOT NULL,
    task_id            TEXT   NOT NULL,
    key_id             TEXT   NOT NULL,
    user_id            TEXT   NOT NULL,
    agent              TEXT   NOT NULL,
    spiffe_id          TEXT   NOT NULL,
    auth_method        TEXT   NOT NULL,
    peer               TEXT   NOT NULL,
    connector          TEXT   NOT NULL,
    revision           BIGINT NOT NULL,
    tool               TEXT   NOT NULL,
    resources          TEXT   NOT NULL,
    severity           BIGINT NOT NULL,
    grant_id           TEXT   NOT NULL,
    credential_id      TEXT   NOT NULL,
    credential_version BIGINT NOT NULL,
    decision           TEXT   NOT NULL,
    reason             TEXT   NOT NULL,
    outcome            TEXT   NOT NULL,
    upstream_status    BIGINT NOT NULL,
    request_bytes      BIGINT NOT NULL,
    response_bytes     BIGINT NOT NULL,
    duration_us        BIGINT NOT NULL,
    row_count          BIGINT NOT NULL,
    detail             TEXT   NOT NULL,
    prev_hash          BYTEA,
    hash               BYTEA  NOT NULL,
    signature          BYTEA,
    signing_key_id     TEXT   NOT NULL,
    PRIMARY KEY (chain_id, seq)
);

CREATE INDEX IF NOT EXISTS audit_events_listing ON audit_events (workspace_id, time_us);

CREATE INDEX IF NOT EXISTS audit_events_task ON audit_events (workspace_id, task_id, time_us);

CREATE INDEX IF NOT EXISTS audit_events_invocation ON audit_events (workspace_id, invocation_id);
