-- +goose NO TRANSACTION
-- +goose Up

-- One row for each metered call, written with the row of its outcome. micro_usd is -1
-- where there is no price; asked_model is empty where it is the model.
CREATE TABLE IF NOT EXISTS usage_ledger (
    workspace_id       TEXT   NOT NULL,
    invocation_id      TEXT   NOT NULL,
    at_us              BIGINT NOT NULL,
    day                TEXT   NOT NULL,
    user_id            TEXT   NOT NULL,
    agent              TEXT   NOT NULL,
    task_id            TEXT   NOT NULL,
    connector          TEXT   NOT NULL,
    model              TEXT   NOT NULL,
    asked_model        TEXT   NOT NULL,
    input_tokens       BIGINT NOT NULL CHECK (input_tokens >= 0),
    cached_tokens      BIGINT NOT NULL CHECK (cached_tokens >= 0),
    cache_write_tokens BIGINT NOT NULL CHECK (cache_write_tokens >= 0),
    output_tokens      BIGINT NOT NULL CHECK (output_tokens >= 0),
    micro_usd          BIGINT NOT NULL CHECK (micro_usd >= -1),
    estimated          BIGINT NOT NULL CHECK (estimated IN (0, 1)),
    PRIMARY KEY (workspace_id, invocation_id)
);

CREATE INDEX IF NOT EXISTS usage_ledger_time ON usage_ledger (workspace_id, at_us);
