-- What a peer calls itself is its word at one enrolment, so it stands beside that grant. Its id is its word as well: a name kept
-- by id could be changed by whoever else enrols under that id.
ALTER TABLE grants ADD COLUMN peer_name text;
UPDATE grants g SET peer_name = p.name FROM peers p WHERE p.id = g.peer;
ALTER TABLE grants DROP CONSTRAINT grants_peer_fkey, ADD CHECK (peer IS NOT NULL OR peer_name IS NULL);
DROP TABLE peers;
