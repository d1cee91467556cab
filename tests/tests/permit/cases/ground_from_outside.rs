use domain::{Refusal, decide::Ground, id::Resource, operation::Method};

struct AlwaysYes;

impl Ground for AlwaysYes { //~ E0277 the trait bound `AlwaysYes: decide::private::Ground` is not satisfied
    fn allows(&self, _: Method, _: Option<&Resource>) -> Result<(), Refusal> {
        Ok(())
    }
}

fn main() {}
