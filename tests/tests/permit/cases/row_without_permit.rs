use domain::{
    Permitted,
    operation::{Get, List},
};
use store::{Access, Items};

async fn row(store: &dyn Items, permit: &Permitted<List>) {
    let _ = store.get(Access::<Get>::Granted(permit)).await; //~ E0308 mismatched types
}

fn main() {
    let _ = row;
}
