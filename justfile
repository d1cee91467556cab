# The few things one does here. `just --list` shows them; docs/development.md says more.

# what a change must pass before it is committed, in a minute
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --locked -- -D warnings
    cargo test --locked -p tests --test shape

# every test, against real PostgreSQL servers that it starts and stops itself
test:
    cargo test --workspace --locked

# the suites of links once more, with the sharing side opening every socket
called:
    MOSAIC_FED_TEST_DIRECTION=called cargo test --locked -p tests --test connect --test control --test query --test renewal --test proof

# two instances on this machine: linked, asked, refused, revoked
demo *ARGS:
    cargo run --release --locked -- demo {{ARGS}}

# what a link costs, as ratios against a bare server on this machine; `just bench --quick` tries it out
bench *ARGS:
    cargo run --release --locked -p bench -- {{ARGS}}

# everything that CI does
ci:
    bash .ci/run
