//! `bench generate`: rows in any number, as the JSON lines that `mosaic-fed import` reads.

use crate::{args::GenerateArgs, rows::Rows};
use anyhow::Result;
use domain::world::World;
use std::io::Write;

/// Prints the rows.
pub fn generate(args: &GenerateArgs) -> Result<()> {
    let rows = Rows::new(args.seed, args.items, World::system().now());
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for n in 0..args.items {
        serde_json::to_writer(&mut out, &rows.row(n)?)?;
        out.write_all(b"\n")?;
    }
    Ok(out.flush()?)
}
