-- What the asking side remembers of a link beside its certificate, over restarts.

-- The invite that it was made of, as its digest; the key that was enrolled then, and the words that were shown. Whoever types that invite
-- again is told so, instead of being refused by the other side.
ALTER TABLE links
    ADD COLUMN made_of bytea,
    ADD COLUMN made_key bytea,
    ADD COLUMN made_words text;
-- When the other side was heard to have ended the grant, and when it had answered last; none while it stands.
ALTER TABLE links
    ADD COLUMN ended_at timestamptz,
    ADD COLUMN last_answer timestamptz;
ALTER TABLE links
    ADD CHECK (num_nonnulls(made_of, made_key, made_words) IN (0, 3)),
    ADD CHECK (ended_at IS NOT NULL OR last_answer IS NULL);
