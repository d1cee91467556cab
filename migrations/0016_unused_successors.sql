-- A certificate that was issued to follow another and is never used is refused by name until it ends. Each one in a row makes the
-- next wait longer, so that few of them arise.

-- How many in a row before the successor were not used; 0 where there is no successor.
ALTER TABLE grants ADD COLUMN next_unused bigint NOT NULL DEFAULT 0 CHECK (next_unused >= 0);
