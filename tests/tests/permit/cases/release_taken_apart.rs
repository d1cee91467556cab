use store::Released;

fn pattern<T>(released: Released<T>) -> T {
    let Released(answer) = released; //~ E0532 cannot match against a tuple struct which contains private fields
    answer
}

fn main() {
    let _ = pattern::<u8>;
}
