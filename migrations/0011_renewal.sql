-- A grant's certificate is followed by the next one while calls go on.

-- The one that was issued and not used yet, and the one before, which is good for a moment longer.
ALTER TABLE grants
    ADD COLUMN next_serial bytea,
    ADD COLUMN next_spki bytea,
    ADD COLUMN next_not_after timestamptz,
    ADD COLUMN next_issued_at timestamptz,
    ADD COLUMN former_serial bytea,
    ADD COLUMN former_spki bytea,
    ADD COLUMN former_not_after timestamptz,
    ADD COLUMN former_until timestamptz,
    ADD CHECK (num_nonnulls(next_serial, next_spki, next_not_after, next_issued_at) IN (0, 4)),
    ADD CHECK (num_nonnulls(former_serial, former_spki, former_not_after, former_until) IN (0, 4)),
    ADD CHECK (serial IS NOT NULL OR num_nonnulls(next_serial, former_serial) = 0);

-- The asking side keeps certificate and key before it uses them for the first time.
ALTER TABLE links
    ADD COLUMN next_certificate bytea,
    ADD COLUMN next_not_after timestamptz,
    ADD COLUMN next_sealed_key bytea,
    ADD CHECK (num_nonnulls(next_certificate, next_not_after, next_sealed_key) IN (0, 3));
