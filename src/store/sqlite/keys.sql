-- Keys, and what administrators did. docs/data-file.md explains both to people.

-- Of a text that is there: from its card's revision not every character of it follows. Null
-- until the card is served or published again, where it came before.
ALTER TABLE rate_card_sources ADD COLUMN toml_sha256 BLOB;

-- Every key that was ever created. Of its secret there is a hash alone.
CREATE TABLE keys (
  key_number            INTEGER PRIMARY KEY,  -- in the order of creation
  key_id                TEXT NOT NULL UNIQUE,
  title                 TEXT NOT NULL,
  scopes                TEXT NOT NULL,        -- JSON array: 'price', 'read', 'charge', 'grant', 'admin'
  accounts              TEXT NOT NULL,        -- JSON array: exact names, and prefixes with '*' behind them; empty for all
  secret_hash           BLOB NOT NULL,        -- SHA-256 of the secret
  create_time           ANY NOT NULL,
  expire_time           ANY,                  -- null for never
  calls_per_second_max  INTEGER NOT NULL,     -- 0 for no limit
  revoke_time           ANY,                  -- null while it is valid
  last_use_time         ANY                   -- to the minute; null for never
) STRICT;

-- Revoked keys may be many: those that let in are found without them.
CREATE INDEX valid_keys ON keys (key_number) WHERE revoke_time IS NULL;

-- The trail: rows are only ever added, in the order of event_id.
CREATE TABLE admin_events (
  event_id     INTEGER PRIMARY KEY,
  create_time  ANY NOT NULL,
  key_id       TEXT,                 -- who did it; null for anybody, since authentication was off
  action       TEXT NOT NULL,        -- 'create_key', 'revoke_key', 'publish_rate_card', 'withdraw_rate_card'
  subject      TEXT NOT NULL,        -- key_id of the key, or revision of the rate card
  title        TEXT NOT NULL,        -- the key's title, or the rate card's name
  chain        BLOB NOT NULL         -- hash of the row before it and of this one, with the key that was created
) STRICT;
