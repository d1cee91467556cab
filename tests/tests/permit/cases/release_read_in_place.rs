use store::Released;

fn field<T>(released: Released<T>) -> T {
    released.0 //~ E0616 field `0` of struct `Released` is private
}

fn main() {
    let _ = field::<u8>;
}
