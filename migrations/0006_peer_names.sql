-- What a peer calls itself is its word at one enrolment, so it stands beside that grant. Its id is its word as well: a name kept
-- by id could be changed by whoever else enrols under that id.
ALTER TABLE grants ADD COLUMN peer_name text;
-- Where several enrolled under one id nobody knows whose word the name is.
UPDATE grants g SET peer_name = p.name FROM peers p
    WHERE p.id = g.peer AND NOT EXISTS (SELECT FROM grants other WHERE other.peer = g.peer AND other.id <> g.id);
ALTER TABLE grants DROP CONSTRAINT grants_peer_fkey, ADD CHECK (peer IS NOT NULL OR peer_name IS NULL);
DROP TABLE peers;
