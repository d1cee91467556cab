struct Everything;

impl domain::operation::sealed::Sealed for Everything {} //~ E0603 module `sealed` is private

fn main() {}
