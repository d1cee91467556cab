-- What a grant was held with decides whether a revoked key ends it. So it has a MAC as the grant's own row does: over the invite by which the
-- grant came to its holder, the key that claimed that, and the keys of all renewals since. A grant without one that somebody holds ends with any
-- key that is revoked; a fresh invite gives it one.

ALTER TABLE grants ADD COLUMN keys_seal bytea;
