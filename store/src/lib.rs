
pub mod embedded;
