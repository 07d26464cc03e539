-- Version 2 of creditd's data file: request_ids of calls that bring credits in or back are
-- kept for longer than others, in runs of their own.

-- 1: the run has those of grants, refunds and revocations alone; 0: it has all.
ALTER TABLE request_runs ADD COLUMN credits INTEGER NOT NULL DEFAULT 0;

-- How many request_ids it has. Its filter is empty where it would be too large for memory.
ALTER TABLE request_runs ADD COLUMN pairs INTEGER NOT NULL DEFAULT 0;

UPDATE request_runs SET pairs =
  (SELECT coalesce(sum(length(keys)), 0) / 16 FROM request_keys k WHERE k.run_id = request_runs.run_id);
