use store::Released;

fn swap(released: Released<u8>) -> Released<u64> {
    released.map(u64::from) //~ E0599 `Released<u8>` is not an iterator
}

fn main() {
    let _ = swap;
}
