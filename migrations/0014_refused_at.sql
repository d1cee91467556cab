-- A list of revoked certificates says when each was revoked. What was refused before is taken as revoked now.

ALTER TABLE refused_leaves ADD COLUMN refused_at timestamptz NOT NULL DEFAULT now();
