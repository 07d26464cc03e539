-- Version 1 of creditd's data file. docs/data-file.md explains it to people.
-- Amounts are whole billionths of a credit, times nanoseconds since 1970 (UTC);
-- the views at the end show both as people write them.

-- Every rate card that was ever served, so that its revision prices again.
CREATE TABLE rate_cards (
  revision      TEXT PRIMARY KEY,
  name          TEXT NOT NULL,
  content       TEXT NOT NULL,     -- JSON; the revision is derived from it
  first_served  INTEGER NOT NULL,
  replaced      INTEGER            -- when a server began to serve others; null while it is served
) STRICT, WITHOUT ROWID;

CREATE TABLE accounts (
  account_id  INTEGER PRIMARY KEY,
  name        TEXT NOT NULL UNIQUE
) STRICT;

-- The journal: rows are only ever added, in the order of entry_id.
CREATE TABLE entries (
  entry_id     INTEGER PRIMARY KEY,
  account_id   INTEGER NOT NULL REFERENCES accounts,
  previous     INTEGER,              -- the account's entry before this one
  version      INTEGER NOT NULL,     -- counts the account's entries, from 1
  kind         TEXT NOT NULL,        -- 'grant', 'expire'
  credits      INTEGER NOT NULL,     -- change of available
  held         INTEGER NOT NULL,     -- change of held
  spent        INTEGER NOT NULL,     -- paid for work
  available    INTEGER NOT NULL,     -- after it
  create_time  INTEGER NOT NULL,
  request_id   TEXT,                 -- null where the server made the entry
  fingerprint  BLOB,                 -- of the request's meaning
  grant_id     INTEGER NOT NULL REFERENCES grants,
  labels       TEXT,                 -- JSON object, null for none
  shares       TEXT NOT NULL         -- JSON: [[grant_id, change of remaining, change of held], ...]
) STRICT;

-- Terms of each grant. Its id is that of the entry which made it.
CREATE TABLE grants (
  grant_id     INTEGER PRIMARY KEY,
  account_id   INTEGER NOT NULL REFERENCES accounts,
  granted      INTEGER NOT NULL,
  priority     INTEGER NOT NULL,
  expire_time  TEXT,                 -- RFC 3339, null for never
  source       TEXT NOT NULL,
  services     TEXT                  -- JSON array, null for all
) STRICT;

-- For people: SELECT * FROM ledger WHERE account = 'team-a';
CREATE VIEW ledger AS
SELECT e.entry_id,
       a.name AS account,
       e.kind,
       printf('%s%d.%09d', iif(e.credits < 0, '-', ''), abs(e.credits) / 1000000000, abs(e.credits) % 1000000000) AS credits,
       printf('%d.%09d', e.available / 1000000000, e.available % 1000000000) AS available,
       strftime('%Y-%m-%dT%H:%M:%S', e.create_time / 1000000000, 'unixepoch')
         || printf('.%09dZ', e.create_time % 1000000000) AS create_time,
       e.request_id,
       e.labels
  FROM entries e JOIN accounts a USING (account_id);
