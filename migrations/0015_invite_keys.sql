-- An invite is claimed for a key: who lost the answer may ask again with that key, and nobody else may with any.

-- The key that may use it, where its owner named one; the one that claimed it; and what it was given, to be given again.
ALTER TABLE invites
    ADD COLUMN spki bytea,
    ADD COLUMN claimed_spki bytea,
    ADD COLUMN serial bytea,
    ADD COLUMN certificate bytea;
-- Whether whoever uses it waits until the owner typed their words, and how often others were typed.
ALTER TABLE invites
    ADD COLUMN confirm boolean NOT NULL DEFAULT false,
    ADD COLUMN wrong_words integer NOT NULL DEFAULT 0;
-- A MAC as that of grants; what was invited before has none and needs a new invite.
ALTER TABLE invites ADD COLUMN seal bytea;
CREATE INDEX invites_given ON invites (grant_id, used_at) WHERE certificate IS NOT NULL;
-- Those that were used before are nobody's to use again.
UPDATE invites SET claimed_spki = decode(repeat('00', 32), 'hex') WHERE used_at IS NOT NULL;
ALTER TABLE invites
    ADD CHECK (num_nonnulls(used_at, claimed_spki) IN (0, 2)),
    ADD CHECK (num_nonnulls(serial, certificate) IN (0, 2)),
    ADD CHECK (certificate IS NULL OR used_at IS NOT NULL),
    ADD CHECK (spki IS NULL OR claimed_spki IS NULL OR spki = claimed_spki);

-- The asking side keeps a key before it asks for a certificate with it: for one invite, or for one that is still to be made.
CREATE TABLE link_keys (
    owner uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    spki bytea NOT NULL,
    -- The digest of the invite's token.
    invite bytea,
    sealed_key bytea NOT NULL,
    not_after timestamptz NOT NULL,
    PRIMARY KEY (owner, spki),
    UNIQUE (owner, invite)
);
ALTER TABLE link_keys ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON link_keys USING (owner = nullif(current_setting('app.subject', true), '')::uuid);

-- What the other side's owner has yet to be told; none once the link was answered.
ALTER TABLE links ADD COLUMN words text;
