-- One log for the instance. The serving role may add to it and read it, nothing else.

CREATE TABLE audit (
    sequence bigint PRIMARY KEY,
    time timestamptz NOT NULL,
    stage text NOT NULL,
    ending text NOT NULL,
    about text NOT NULL,
    request uuid NOT NULL,
    address text NOT NULL,
    grant_id uuid,
    peer uuid,
    subject uuid,
    resource text,
    query bytea,
    reason text,
    note text NOT NULL,
    rows bigint NOT NULL,
    bytes bigint NOT NULL,
    latency_us bigint NOT NULL,
    previous bytea NOT NULL,
    hash bytea NOT NULL
);
CREATE INDEX audit_of_grant ON audit (grant_id, sequence) WHERE grant_id IS NOT NULL;

-- Where the log ends. Whoever appends, or changes a standing, holds this row's lock until the commit.
CREATE TABLE audit_head (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    sequence bigint NOT NULL,
    hash bytea NOT NULL,
    time timestamptz NOT NULL
);
INSERT INTO audit_head (sequence, hash, time) VALUES (0, decode(repeat('00', 32), 'hex'), 'epoch');
