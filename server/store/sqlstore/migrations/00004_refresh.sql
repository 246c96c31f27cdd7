-- +goose NO TRANSACTION
-- +goose Up

-- Who refreshes a credential, and what was sent for it. attempt is the digest of a
-- refresh token of which nobody knows whether it was consumed.
CREATE TABLE IF NOT EXISTS credential_refreshes (
    workspace_id  TEXT   NOT NULL,
    credential_id TEXT   NOT NULL,
    owner         TEXT   NOT NULL,
    fence         BIGINT NOT NULL CHECK (fence >= 1),
    lease_us      BIGINT NOT NULL,
    attempt       BYTEA,
    attempt_fence BIGINT NOT NULL DEFAULT 0,
    dead_version  BIGINT NOT NULL DEFAULT 0,
    reason        TEXT   NOT NULL DEFAULT '',
    failures      BIGINT NOT NULL DEFAULT 0,
    retry_us      BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (workspace_id, credential_id)
);
