//! Tells where cargo-fuzz puts what it builds: it builds for a named target even if that is the host.

fn main() {
    let host = std::env::var("HOST").expect("cargo says what the host is");
    println!("cargo::rustc-env=GREENROOM_FUZZ_TRIPLE={host}");
    println!("cargo::rerun-if-changed=build.rs");
}
