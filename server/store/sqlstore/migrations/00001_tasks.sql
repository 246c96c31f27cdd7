-- +goose NO TRANSACTION
-- +goose Up

-- Every statement can be run again: where a migration was cut off half-way, the next
-- run of it finishes the work. CockroachDB commits each statement by itself anyway.

CREATE TABLE IF NOT EXISTS users (
    workspace_id TEXT   NOT NULL,
    id           TEXT   NOT NULL,
    issuer       TEXT   NOT NULL,
    subject      TEXT   NOT NULL,
    created_us   BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, id)
);

CREATE UNIQUE INDEX IF NOT EXISTS users_subject ON users (workspace_id, issuer, subject);

CREATE TABLE IF NOT EXISTS tasks (
    workspace_id    TEXT   NOT NULL,
    id              TEXT   NOT NULL,
    agent           TEXT   NOT NULL,
    user_id         TEXT   NOT NULL,
    sandbox         TEXT   NOT NULL,
    state           TEXT   NOT NULL CHECK (state IN ('PENDING', 'ACTIVE', 'ENDED', 'REVOKED', 'EXPIRED')),
    created_us      BIGINT NOT NULL,
    expires_us      BIGINT NOT NULL,
    ended_us        BIGINT NOT NULL,
    created_by      TEXT   NOT NULL,
    key_id          TEXT   NOT NULL,
    parent_id       TEXT   NOT NULL,
    root_id         TEXT   NOT NULL,
    depth           BIGINT NOT NULL CHECK (depth >= 0),
    delegates       TEXT   NOT NULL,
    approved_by     TEXT   NOT NULL,
    approved_digest BYTEA,
    PRIMARY KEY (workspace_id, id),
    FOREIGN KEY (workspace_id, user_id) REFERENCES users (workspace_id, id)
);

CREATE INDEX IF NOT EXISTS tasks_listing ON tasks (workspace_id, created_us DESC, id DESC);

CREATE INDEX IF NOT EXISTS tasks_tree ON tasks (workspace_id, parent_id);

CREATE TABLE IF NOT EXISTS task_keys (
    workspace_id TEXT   NOT NULL,
    id           TEXT   NOT NULL,
    task_id      TEXT   NOT NULL,
    digest       BYTEA  NOT NULL,
    pepper_id    TEXT   NOT NULL,
    created_us   BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, id),
    FOREIGN KEY (workspace_id, task_id) REFERENCES tasks (workspace_id, id)
);

-- The one look-up that does not begin with a workspace: the key says which it is.
CREATE UNIQUE INDEX IF NOT EXISTS task_keys_digest ON task_keys (digest);

CREATE TABLE IF NOT EXISTS grants (
    workspace_id TEXT   NOT NULL,
    task_id      TEXT   NOT NULL,
    id           TEXT   NOT NULL,
    ordinal      BIGINT NOT NULL,
    connector    TEXT   NOT NULL,
    revision     BIGINT NOT NULL,
    tools        TEXT   NOT NULL,
    max_severity BIGINT NOT NULL,
    resources    TEXT   NOT NULL,
    limits       TEXT   NOT NULL,
    expires_us   BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, task_id, id),
    FOREIGN KEY (workspace_id, task_id) REFERENCES tasks (workspace_id, id)
);

-- A limit of -1 means that this part is counted and not limited.
CREATE TABLE IF NOT EXISTS grant_counters (
    workspace_id    TEXT   NOT NULL,
    task_id         TEXT   NOT NULL,
    grant_id        TEXT   NOT NULL,
    calls_limit     BIGINT NOT NULL,
    calls_used      BIGINT NOT NULL DEFAULT 0 CHECK (calls_used >= 0),
    bytes_limit     BIGINT NOT NULL,
    bytes_used      BIGINT NOT NULL DEFAULT 0 CHECK (bytes_used >= 0),
    rows_limit      BIGINT NOT NULL,
    rows_used       BIGINT NOT NULL DEFAULT 0 CHECK (rows_used >= 0),
    tokens_limit    BIGINT NOT NULL,
    tokens_used     BIGINT NOT NULL DEFAULT 0 CHECK (tokens_used >= 0),
    micro_usd_limit BIGINT NOT NULL,
    micro_usd_used  BIGINT NOT NULL DEFAULT 0 CHECK (micro_usd_used >= 0),
    PRIMARY KEY (workspace_id, task_id, grant_id),
    FOREIGN KEY (workspace_id, task_id, grant_id) REFERENCES grants (workspace_id, task_id, id)
);

CREATE TABLE IF NOT EXISTS idempotency_keys (
    workspace_id  TEXT   NOT NULL,
    task_id       TEXT   NOT NULL,
    idem_key      TEXT   NOT NULL,
    invocation_id TEXT   NOT NULL,
    created_us    BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, task_id, idem_key)
);
