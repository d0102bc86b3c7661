//! Generates the wire types with `protox`, a protobuf compiler in Rust, so that a build needs no
//! `protoc`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=proto");
    let files = protox::compile(["proto/greenroom.proto"], ["proto"])?;
    tonic_prost_build::configure()
        .bytes(".greenroom.v1.Request.arguments")
        .bytes(".greenroom.v1.Response.ok")
        .bytes(".greenroom.v1.Response.err")
        .compile_fds(files)?;
    Ok(())
}
