use domain::{
    Permitted,
    operation::{Capabilities, List},
};

fn reuse(permit: Permitted<Capabilities>) -> Permitted<List> {
    permit //~ E0308 mismatched types
}

fn main() {
    let _ = reuse;
}
