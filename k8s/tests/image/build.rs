//! What the builder does, done here: `make image` runs it, because it takes minutes.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::{env, fs};

use super::dockerfile::{is_sent, top};
use super::{cargo_line, two_stages};

/// Libraries that the image has, by the beginnings of their names.
const IN_THE_IMAGE: &[&str] =
    &["linux-vdso", "libc.so", "libm.so", "libgcc_s.so", "libdl.so", "libpthread.so", "librt.so"];

/// Copies what `docker build .` would send.
fn send(from: &Path, to: &Path, path: &Path) {
    for entry in fs::read_dir(from.join(path)).expect("a folder") {
        let entry = entry.expect("an entry");
        let path = path.join(entry.file_name());
        if !is_sent(&path) {
            continue;
        }
        if entry.file_type().expect("a type").is_dir() {
            fs::create_dir(to.join(&path)).expect("a new folder");
            send(from, to, &path);
        } else {
            fs::copy(from.join(&path), to.join(&path)).expect("a copy");
        }
    }
}

/// With one variable and without a shell, as in the image.
fn run(program: impl AsRef<OsStr>, arguments: &[&str], variable: (&str, &str)) -> Output {
    let mut command = Command::new(program);
    command.args(arguments).env_clear().env(variable.0, variable.1).current_dir("/");
    command.output().expect("it starts")
}

#[test]
#[ignore = "compiles everything in release mode; `make image` runs it"]
fn what_is_sent_can_be_built_and_runs_in_the_image() {
    let [builder, _] = two_stages();
    let (line, _, binaries) = cargo_line(&builder);
    let context = tempfile::tempdir().unwrap();
    send(&top(), context.path(), Path::new(""));
    // With CARGO_TARGET_DIR, what was compiled before need not be compiled again.
    let shared = env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let target = shared.unwrap_or_else(|| context.path().join("target"));
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", &line]).current_dir(context.path()).env("CARGO_TARGET_DIR", &target);
    for (name, value) in builder.all("ENV").into_iter().filter_map(|pair| pair.split_once('=')) {
        shell.env(name, value);
    }
    assert!(shell.status().expect("a shell").success(), "{line}");
    for binary in &binaries {
        let path = target.join("release").join(binary);
        let needed = run("ldd", &[path.to_str().unwrap()], ("LC_ALL", "C"));
        let needed = String::from_utf8_lossy(&needed.stdout).into_owned();
        for library in needed.lines().map(str::trim) {
            let known = library.contains("ld-linux")
                || IN_THE_IMAGE.iter().any(|name| library.starts_with(name));
            assert!(known, "{binary} needs {library}, which is not in the image");
        }
        let megabytes = path.metadata().unwrap().len() >> 20;
        println!("{binary}: {megabytes} MiB");
        assert!(megabytes < 64, "{binary} has {megabytes} MiB");
    }
    let help = run(target.join("release/greenroom"), &["--help"], ("LC_ALL", "C"));
    assert!(help.status.success(), "{help:?}");
    let node = run(target.join("release/node"), &[], ("GREENROOM_SHARDS", "0"));
    let told = String::from_utf8_lossy(&node.stderr);
    assert!(!node.status.success() && told.contains("GREENROOM_SHARDS"), "{told}");
}
