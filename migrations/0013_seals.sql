-- A grant that was changed behind the daemon's back permits nothing: each row has a MAC under a key that is not in the database.

ALTER TABLE grants ADD COLUMN seal bytea;
