//! Generates the wire types with `protox`, a protobuf compiler in Rust, so that a build needs no
//! `protoc`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=proto");
    let files = protox::compile(["proto/greenroom.proto"], ["proto"])?;
    // The topology is also a file that operators keep, in JSON, with labels in a steady order.
    let document = "#[derive(::serde::Serialize, ::serde::Deserialize)] #[serde(default)]";
    tonic_prost_build::configure()
        .btree_map(".")
        .type_attribute("Topology", document)
        .type_attribute("TopologyNode", document)
        .type_attribute("TopologyShard", document)
        .type_attribute("Group", document)
        // Read and written in place: see `src/frame.rs`.
        .extern_path(".greenroom.v1.Frame", "crate::Frame")
        .bytes(".greenroom.v1.Part.data")
        .bytes(".greenroom.v1.Item.value")
        .bytes(".greenroom.v1.Request.arguments")
        .bytes(".greenroom.v1.Response.ok")
        .bytes(".greenroom.v1.Response.err")
        .compile_fds(files)?;
    Ok(())
}
