-- +goose NO TRANSACTION
-- +goose Up

-- What is known of a task that another one minted. above lists the tasks above it with
-- their agents, its parent first: the chain that the trail and assertions tell of.
CREATE TABLE IF NOT EXISTS delegations (
    workspace_id TEXT NOT NULL,
    task_id      TEXT NOT NULL,
    above        TEXT NOT NULL,
    PRIMARY KEY (workspace_id, task_id),
    FOREIGN KEY (workspace_id, task_id) REFERENCES tasks (workspace_id, id)
);

-- In which grant of its parent a delegated grant lies: what it uses counts there too.
CREATE TABLE IF NOT EXISTS delegated_grants (
    workspace_id    TEXT NOT NULL,
    task_id         TEXT NOT NULL,
    grant_id        TEXT NOT NULL,
    parent_task_id  TEXT NOT NULL,
    parent_grant_id TEXT NOT NULL,
    PRIMARY KEY (workspace_id, task_id, grant_id),
    FOREIGN KEY (workspace_id, task_id, grant_id) REFERENCES grants (workspace_id, task_id, id),
    FOREIGN KEY (workspace_id, parent_task_id, parent_grant_id) REFERENCES grants (workspace_id, task_id, id)
);

-- A tree is walked and counted along what has not expired: what a hostile task minted
-- and let expire must not slow down the end of its tree.
CREATE INDEX IF NOT EXISTS tasks_below ON tasks (workspace_id, parent_id, expires_us);

CREATE INDEX IF NOT EXISTS tasks_of_root ON tasks (workspace_id, root_id, expires_us);

DROP INDEX IF EXISTS tasks_tree;
