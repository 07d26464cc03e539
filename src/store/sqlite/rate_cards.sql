-- Rate cards that are published while a server runs. docs/data-file.md explains it to people.

-- What is known of each rate card beside its content. `replaced` of rate_cards is about cards
-- of files: those that were published have it null, and their times are in publications.
CREATE TABLE rate_card_sources (
  card_id         INTEGER PRIMARY KEY,  -- of rate_cards
  origin          TEXT NOT NULL,        -- 'built-in', 'file', 'published'
  title           TEXT NOT NULL,
  effective_time  TEXT,                 -- RFC 3339, as the card says it; null for none
  toml            TEXT                  -- the card as it was written; null where it came before texts were kept
) STRICT;

INSERT INTO rate_card_sources (card_id, origin, title, effective_time)
SELECT
  card_id,
  'file',
  coalesce(CASE WHEN json_valid(content) THEN json_extract(content, '$.title') END, ''),
  CASE WHEN json_valid(content) THEN json_extract(content, '$.effective_time') END
FROM rate_cards;

-- Each time that a card was published, in the order in which that happened.
CREATE TABLE publications (
  publication_id  INTEGER PRIMARY KEY,
  card_id         INTEGER NOT NULL,   -- of rate_cards
  published       ANY NOT NULL,
  since           ANY NOT NULL,       -- from when on the card is in force
  removed         ANY,                -- when it was taken out of the schedule, before that time
  withdrawn       INTEGER NOT NULL    -- 1 where somebody withdrew it, 0 where another card took its place
) STRICT;
