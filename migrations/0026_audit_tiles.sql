-- The Merkle tree over the log, in tiles of 256 hashes; only full ones lie here, the rest is made of the entries behind them. Everything here
-- can be made anew from the log, so the serving role may also take it away.
CREATE TABLE audit_tiles (
    level smallint NOT NULL CHECK (level BETWEEN 0 AND 7),
    number bigint NOT NULL CHECK (number BETWEEN 0 AND 36028797018963967),
    hashes bytea NOT NULL CHECK (octet_length(hashes) = 8192),
    -- Over its hashes: the tile above is made of it.
    root bytea NOT NULL CHECK (octet_length(root) = 32),
    PRIMARY KEY (level, number)
);
-- Hashes are not made smaller by compression.
ALTER TABLE audit_tiles ALTER COLUMN hashes SET STORAGE EXTERNAL;
