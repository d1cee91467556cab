use store::Released;

fn forge<T>(answer: T) -> Released<T> {
    Released(answer) //~ E0423 cannot initialize a tuple struct which contains private fields
}

fn main() {
    let _ = forge::<u8>;
}
