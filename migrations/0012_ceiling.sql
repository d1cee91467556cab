-- What no grant may exceed. At most one row; none bounds nothing.

CREATE TABLE ceiling (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    ceiling jsonb NOT NULL,
    set_at timestamptz NOT NULL,
    -- Kept as history, as the subject's name of a grant is.
    set_by text NOT NULL
);
