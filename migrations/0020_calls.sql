-- A sharing side that nobody can reach calls the asking side. What proves these calls lies here sealed, never as it is.

-- Sharing side: whom to call for which grant, with what, and the invite until it was used.
CREATE TABLE grant_calls (
    grant_id uuid PRIMARY KEY REFERENCES grants ON DELETE CASCADE,
    -- Empty once the grant has ended: its invites were never for a door of this instance, and open none.
    sealed bytea NOT NULL
);

-- Asking side: who waits to be called.
CREATE TABLE awaits (
    owner uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    id uuid NOT NULL,
    -- What the link is to be called.
    name text,
    -- Where it said that it is called.
    addresses text[] NOT NULL,
    sealed bytea NOT NULL,
    not_after timestamptz NOT NULL,
    -- The grant that the first call was of; no other one is taken.
    grant_id uuid,
    -- Whether a link came of it, which uses it up.
    used boolean NOT NULL DEFAULT false,
    PRIMARY KEY (owner, id)
);
ALTER TABLE awaits ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON awaits USING (owner = nullif(current_setting('app.subject', true), '')::uuid);

-- Asking side: what proves calls of a link. Kept before the link is: without its link it is of no use.
CREATE TABLE link_calls (
    owner uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    id uuid NOT NULL,
    sealed bytea NOT NULL,
    PRIMARY KEY (owner, id)
);
ALTER TABLE link_calls ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON link_calls USING (owner = nullif(current_setting('app.subject', true), '')::uuid);
