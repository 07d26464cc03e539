-- From version 3 to version 4: accounts have settings, and entries the values by which they
-- were priced. No row is rewritten: where these columns are missing from a row, they are null.
ALTER TABLE entries ADD COLUMN price_values TEXT;  -- JSON object: attributes that came from the account or the clock, null for none
ALTER TABLE entries ADD COLUMN price_time ANY;     -- the time for which it was priced, where that mattered
ALTER TABLE entries ADD COLUMN account TEXT;       -- JSON: the account after an 'update'

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
  LEFT JOIN rate_cards c USING (card_id);
