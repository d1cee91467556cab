use domain::{
    grant::Grant,
    operation::{Method, Operation},
};

struct Everything;

impl Operation for Everything { //~ E0277 the trait bound `Everything: operation::sealed::Sealed` is not satisfied
    const METHOD: Method = Method::List;
    type Ground = Grant;
}

fn main() {}
