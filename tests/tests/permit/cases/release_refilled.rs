//! The release of one thing cannot be turned into the release of another.

use store::Released;

fn refill(nothing: Released<()>) -> Released<&'static str> {
    nothing.map(|()| "rows") //~ E0599 `Released<()>` is not an iterator
}

fn main() {
    let _ = refill;
}
