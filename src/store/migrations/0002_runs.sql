-- Runs that are over. Times are microseconds of the Unix epoch, so that both databases order them alike. What lists show has
-- columns; `document` is the whole outcome and comes last, because nobody reads it who lists.
CREATE TABLE runs (
    project_id TEXT NOT NULL,
    run_id TEXT NOT NULL,
    scenario_id TEXT NOT NULL,
    set_id TEXT NOT NULL,
    batch_id TEXT NOT NULL,
    target TEXT NOT NULL,
    status TEXT NOT NULL,
    verdict TEXT,
    error_code TEXT,
    attempts BIGINT NOT NULL,
    turns BIGINT NOT NULL,
    started_at BIGINT NOT NULL,
    finished_at BIGINT NOT NULL,
    duration_ms BIGINT NOT NULL,
    tokens BIGINT NOT NULL,
    cost_usd DOUBLE PRECISION NOT NULL,
    trace_id TEXT,
    problem TEXT,
    document TEXT NOT NULL,
    PRIMARY KEY (project_id, run_id)
);
-- The newest of all, and the oldest, which are removed.
CREATE INDEX runs_by_end ON runs (finished_at, project_id, run_id);
CREATE INDEX runs_of_project ON runs (project_id, finished_at, run_id);
CREATE INDEX runs_of_scenario ON runs (project_id, scenario_id, finished_at, run_id);
-- Endings that are rare would be looked for in all of the others.
CREATE INDEX runs_by_status ON runs (status, finished_at, project_id, run_id);
CREATE INDEX runs_of_batch ON runs (batch_id, finished_at, project_id, run_id);
-- What one worker does for all of them, and when it is due again.
CREATE TABLE upkeep (
    task TEXT NOT NULL PRIMARY KEY,
    due_at BIGINT NOT NULL
);
INSERT INTO upkeep (task, due_at) VALUES ('prune_runs', 0);
