-- How often a grant's certificate was followed by another one that came into force. A row of before has a seal, and a certificate, that
-- were right once; how far it had come is remembered outside the database.

ALTER TABLE grants ADD COLUMN renewals bigint NOT NULL DEFAULT 0 CHECK (renewals >= 0);
