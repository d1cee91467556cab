use domain::{Caller, grant::Grant};
use std::sync::Arc;

fn forge(grant: Arc<Grant>) -> Caller<Grant> {
    Caller(grant) //~ E0423 cannot initialize a tuple struct which contains private fields
}

fn main() {
    let _ = forge;
}
