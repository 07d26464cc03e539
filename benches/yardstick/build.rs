//! Compiles the same schema as creditd does, the way every tonic project does it.

use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = Path::new("../../proto");
    println!("cargo:rerun-if-changed={}", root.display());
    let descriptors = protox::compile(["creditd/v1/pricing.proto"], [root])?;
    tonic_prost_build::configure()
        .include_file("pb.rs")
        .compile_fds(descriptors)?;
    Ok(())
}
