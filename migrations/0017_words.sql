-- Four words that nobody in the middle can search for, and a wait that takes nothing from whoever holds a grant already.

-- What the asking side added to the words, 32 bytes, told with its key. None where an earlier build stored the claim.
ALTER TABLE invites
    ADD COLUMN claimed_nonce bytea CHECK (octet_length(claimed_nonce) = 32),
    ADD CHECK (claimed_nonce IS NULL OR claimed_spki IS NOT NULL);

-- Whether the holder of the next certificate has yet to be let in by the grant's owner.
ALTER TABLE grants
    ADD COLUMN next_waits boolean NOT NULL DEFAULT false,
    ADD CHECK (NOT next_waits OR next_serial IS NOT NULL);
