-- The keys of a grant's renewals, as long as the invite that it was enrolled by is the last one: whoever stole one of them may have renewed since.
CREATE TABLE grant_keys (
    grant_id uuid NOT NULL REFERENCES grants ON DELETE CASCADE,
    spki bytea NOT NULL CHECK (octet_length(spki) = 32),
    -- By which invite the grant came to its holder; none of a grant that was enrolled before there was a record of that.
    invite uuid,
    PRIMARY KEY (grant_id, spki)
);
CREATE INDEX grant_keys_by_key ON grant_keys (spki);
