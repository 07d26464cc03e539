-- From version 7 to version 8: old rows of the journal can be moved to an archive, another data
-- file. docs/archive.md explains it to people.

-- Every archive that was made of this file, in order.
CREATE TABLE archives (
  archive_id   INTEGER PRIMARY KEY,  -- from 1
  create_time  ANY NOT NULL,
  before_time  ANY NOT NULL,         -- what it was asked for
  position     INTEGER NOT NULL,     -- rows of the journal up to here are in it
  head         TEXT NOT NULL,        -- of the journal then
  seal         BLOB NOT NULL,        -- hash of the openings, and of the rows that were kept
  file         TEXT NOT NULL,        -- the name that it was given
  finished     INTEGER NOT NULL      -- 0 while its rows are being removed from this file, then 1
) STRICT;

-- What an account has instead of its archived rows: how it was after the newest of them.
CREATE TABLE openings (
  account_id         INTEGER PRIMARY KEY,
  archive_id         INTEGER NOT NULL,   -- the newest archive that took rows of it
  position           INTEGER NOT NULL,   -- of its newest archived row
  entry_id           INTEGER NOT NULL,   -- of that row
  create_time        ANY NOT NULL,       -- of that row
  available          INTEGER NOT NULL,   -- after it
  held               INTEGER NOT NULL,
  settings_position  INTEGER,            -- of its newest archived 'update'
  previous_chain     BLOB NOT NULL,      -- hash of the account's row before that row
  chain              BLOB NOT NULL,      -- hash of that row
  state              TEXT NOT NULL       -- JSON, as in accounts
) STRICT;

DROP VIEW ledger;

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
       e.key_id,
       e.service,
       c.revision,
       e.usage,
       e.price_values,
       e.hold_id,
       e.refunded_id,
       e.labels,
       json_extract(e.account, '$.settings') AS settings
  FROM entries e
  JOIN accounts a USING (account_id)
  LEFT JOIN rate_cards c USING (card_id)
 WHERE e.position > (SELECT coalesce(max(position), 0) FROM archives)
UNION ALL
SELECT o.position,
       a.name,
       o.entry_id,
       'opening',
       printf('%d.%09d', o.available / 1000000000, o.available % 1000000000),
       printf('%d.%09d', o.held / 1000000000, o.held % 1000000000),
       '0.000000000',
       printf('%d.%09d', o.available / 1000000000, o.available % 1000000000),
       iif(typeof(o.create_time) = 'text', o.create_time,
           strftime('%Y-%m-%dT%H:%M:%S', o.create_time / 1000000000, 'unixepoch')
             || printf('.%09dZ', o.create_time % 1000000000)),
       NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
       json_extract(o.state, '$.settings')
  FROM openings o
  JOIN accounts a USING (account_id);
