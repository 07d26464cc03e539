-- From version 5 to version 6: entries say who did it, and those of an account form a chain.
-- creditd computes the chains of the entries that are there, in the same transaction.
ALTER TABLE entries ADD COLUMN key_id TEXT;  -- who did it, null where the server did or it is not known
ALTER TABLE entries ADD COLUMN chain BLOB;   -- hash of the account's row before it and of this one
ALTER TABLE entries ADD COLUMN salts BLOB;   -- random bytes by which the texts of labels are hashed into the chain, null for none
ALTER TABLE entries ADD COLUMN erased TEXT;  -- JSON: hashes of texts that were erased, null for none

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
  LEFT JOIN rate_cards c USING (card_id);
