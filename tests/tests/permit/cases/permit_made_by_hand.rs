use domain::{Permitted, grant::Grant, operation::Capabilities};
use std::sync::Arc;

fn forge(ground: Arc<Grant>) -> Permitted<Capabilities> {
    Permitted { operation: Capabilities, ground } //~ E0451 fields `operation` and `ground` of struct `Permitted` are private
}

fn main() {
    let _ = forge;
}
