//! Compiles the API's schema, with a compiler written in Rust: no protoc needed.

use std::path::{Path, PathBuf};

use prost::Message as _;

const FILES: [&str; 6] = [
    "creditd/v1/pricing.proto",
    "creditd/v1/ledger.proto",
    "creditd/v1/admin.proto",
    "creditd/v1/error_reason.proto",
    "google/rpc/status.proto",
    "google/rpc/error_details.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = Path::new("proto");
    for file in FILES {
        println!("cargo:rerun-if-changed={}", root.join(file).display());
    }
    let descriptors = protox::compile(FILES, [root])?;
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    // What reflection shows.
    std::fs::write(out.join("descriptors.binpb"), descriptors.encode_to_vec())?;
    // Each message knows its name, by which its descriptor is found.
    let mut config = prost_build::Config::new();
    config.enable_type_names();
    tonic_prost_build::configure()
        // What is answered has one order: the same reply is the same bytes.
        .btree_map(".")
        .codec_path("crate::rpc::codec::Codec")
        .include_file("pb.rs")
        .compile_fds_with_config(descriptors, config)?;
    Ok(())
}
