//! What is loaded into a server before libc: the sources in `tests/shim/`.

use std::path::Path;
use std::process::Command;

use super::root;

/// Makes `NAME.so` in the directory out of `NAME.c`.
pub fn compile(name: &str, directory: &Path) {
    let output = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"])
        .arg(directory.join(format!("{name}.so")))
        .arg(root(&format!("tests/shim/{name}.c")))
        .output()
        .expect("a C compiler, cc");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
}
