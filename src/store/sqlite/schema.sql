-- Version 3 of creditd's data file; versions 1 and 2 were never released. What later versions
-- add stands in schema-4.sql and so on. docs/data-file.md explains the whole to people.
-- Amounts are whole billionths of a credit, times nanoseconds since 1970 (UTC), and those
-- after April 2262, which 64 bits do not reach, RFC 3339 texts of one width: they sort after
-- all numbers. The views at the end show both as people write them.

-- Every rate card that was ever published, so that its revision prices again. In force are
-- those that are not replaced.
CREATE TABLE rate_cards (
  card_id          INTEGER PRIMARY KEY,
  revision         TEXT NOT NULL UNIQUE,
  name             TEXT NOT NULL,
  first_published  ANY NOT NULL,
  replaced         ANY,               -- when others were published in its place; null while it is in force
  content          TEXT NOT NULL      -- JSON; the revision is derived from it
) STRICT;

-- The journal: rows are only ever added, in the order of position. Ids of entries, grants and
-- holds count within their account, each from 1.
CREATE TABLE entries (
  position          INTEGER PRIMARY KEY,  -- in the journal
  account_id        INTEGER NOT NULL,     -- of accounts
  previous          INTEGER,              -- position of the account's row before this one
  entry_id          INTEGER NOT NULL,     -- an 'extend' has that of the entry before it
  kind              TEXT NOT NULL,        -- 'grant', 'charge', 'refund', 'hold', 'settle', 'release', 'extend', 'expire', 'revoke'
  credits           INTEGER NOT NULL,     -- change of available
  held              INTEGER NOT NULL,     -- change of held
  spent             INTEGER NOT NULL,     -- paid for work
  available         INTEGER NOT NULL,     -- after it
  answered          INTEGER,              -- available as the caller was told it, where more entries followed from this one
  create_time       ANY NOT NULL,
  request_id        TEXT,                 -- null where the server made the entry
  fingerprint       BLOB,                 -- of the request's meaning
  service           TEXT,                 -- the work that was paid for
  card_id           INTEGER,              -- of rate_cards: its prices
  usage             TEXT,                 -- JSON: what was priced
  grant_id          INTEGER,              -- the grant that a grant, expiry or revocation is about
  hold_id           INTEGER,              -- the hold that it is about, and what that is after it:
  hold_held         INTEGER,
  hold_settled      INTEGER,
  hold_expire_time  ANY,
  hold_status       TEXT,                 -- 'open', 'settled', 'released', 'expired'
  refunded_id       INTEGER,              -- entry_id of the charge or settlement that a refund gives back
  labels            TEXT,                 -- JSON object, null for none
  shares            TEXT NOT NULL         -- JSON: [[grant_id, change of remaining, change of held], ...]
) STRICT;

-- Terms of each grant.
CREATE TABLE grants (
  account_id   INTEGER NOT NULL,
  grant_id     INTEGER NOT NULL,
  position     INTEGER NOT NULL,     -- of the entry that made it
  granted      INTEGER NOT NULL,
  priority     INTEGER NOT NULL,
  expire_time  TEXT,                 -- RFC 3339, null for never
  source       TEXT NOT NULL,
  services     TEXT,                 -- JSON array, null for all
  PRIMARY KEY (account_id, grant_id)
) STRICT, WITHOUT ROWID;

-- What the journal says about some things, to be found without a walk.
CREATE TABLE revocations (
  account_id   INTEGER NOT NULL,
  grant_id     INTEGER NOT NULL,
  entry_id     INTEGER NOT NULL,     -- that revoked it first
  PRIMARY KEY (account_id, grant_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE holds (
  account_id   INTEGER NOT NULL,
  hold_id      INTEGER NOT NULL,
  made         INTEGER NOT NULL,     -- position of the entry that made it
  closed       INTEGER,              -- position of the entry that closed it
  PRIMARY KEY (account_id, hold_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE refunds (
  account_id   INTEGER NOT NULL,
  refunded_id  INTEGER NOT NULL,
  entry_id     INTEGER NOT NULL,
  credits      INTEGER NOT NULL,
  PRIMARY KEY (account_id, refunded_id, entry_id)
) STRICT, WITHOUT ROWID;

-- Accounts, each as it was after its entry at `head`. Rows of dirty accounts are older than
-- the journal; entries after file.flushed may be missing from them.
CREATE TABLE accounts (
  account_id   INTEGER PRIMARY KEY,
  name         TEXT NOT NULL UNIQUE,
  head         INTEGER,              -- position; null before the first flush
  last_time    ANY NOT NULL,
  steps        INTEGER NOT NULL,     -- entries since its newest snapshot
  state        TEXT NOT NULL         -- JSON: its newest ids, live grants and open holds
) STRICT;

-- Accounts as they were at earlier times, every few hundred entries.
CREATE TABLE snapshots (
  account_id   INTEGER NOT NULL,
  entry_id     INTEGER NOT NULL,     -- its newest entry then
  position     INTEGER NOT NULL,     -- of the account's newest row then
  create_time  ANY NOT NULL,         -- of that row
  state        TEXT NOT NULL,
  PRIMARY KEY (account_id, entry_id, position)
) STRICT, WITHOUT ROWID;

-- Where request_ids of the last days stand in the journal: sorted runs, oldest first.
CREATE TABLE request_runs (
  run_id       INTEGER PRIMARY KEY,
  last_position INTEGER NOT NULL,    -- it has those of the journal up to here
  newest_time  ANY NOT NULL,
  filter       BLOB NOT NULL,        -- says of most request_ids that they are not in it; empty where it would be too large for memory
  credits      INTEGER NOT NULL,     -- 1: those of grants, refunds and revocations alone, which are kept for longer; 0: all
  pairs        INTEGER NOT NULL      -- how many request_ids it has
) STRICT;

CREATE TABLE request_keys (
  run_id       INTEGER NOT NULL,
  first_key    INTEGER NOT NULL,
  keys         BLOB NOT NULL,        -- pairs of key and position, 8 bytes each, in order
  PRIMARY KEY (run_id, first_key)
) STRICT, WITHOUT ROWID;

-- One row about the file itself.
CREATE TABLE file (
  file_id      INTEGER PRIMARY KEY CHECK (file_id = 1),
  flushed      INTEGER NOT NULL,     -- the rows of accounts have all entries up to this position
  indexed      INTEGER NOT NULL,     -- request_ids up to this position are in runs, or were
  key          BLOB NOT NULL,        -- 16 random bytes by which request_ids are hashed
  probes       INTEGER NOT NULL,     -- rises when the server tries whether it can write, and begins the -wal
  in_use       INTEGER NOT NULL,     -- 1 while a server uses the file
  checkpointed INTEGER NOT NULL      -- the file itself had all entries up to this position when its -wal was begun
) STRICT;

-- What the clock said last: by this the next start tells a clock that was set from time
-- that has passed. No row before the first server.
CREATE TABLE clock (
  clock_id     INTEGER PRIMARY KEY CHECK (clock_id = 1),
  boot_id      TEXT NOT NULL,        -- of the machine; empty where it is not known
  boot_time    INTEGER NOT NULL,     -- microseconds since that boot
  wall_time    ANY NOT NULL          -- the time then
) STRICT;

-- For people: SELECT * FROM ledger WHERE account = 'team-a';
CREATE VIEW ledger AS
SELECT e.position,
       a.name AS account,
       e.entry_id,
       e.kind,
       printf('%s%d.%09d', iif(e.credits < 0, '-', ''), abs(e.credits) / 1000000000, abs(e.credits) % 1000000000) AS credits,
       printf('%s%d.%09d', iif(e.held < 0, '-', ''), abs(e.held) / 1000000000, abs(e.held) % 1000000000) AS held,
       printf('%s%d.%09d', iif(e.spent < 0, '-', ''), abs(e.spent) / 1000000000, abs(e.spent) % 1000000000) AS spent,
       printf('%d.%09d', e.available / 1000000000, e.available % 1000000000) AS available,
       iif(typeof(e.create_time) = 'text', e.create_time,
           strftime('%Y-%m-%dT%H:%M:%S', e.create_time / 1000000000, 'unixepoch')
             || printf('.%09dZ', e.create_time % 1000000000)) AS create_time,
       e.request_id,
       e.service,
       c.revision,
       e.usage,
       e.hold_id,
       e.refunded_id,
       e.labels
  FROM entries e
  JOIN accounts a USING (account_id)
  LEFT JOIN rate_cards c USING (card_id);
