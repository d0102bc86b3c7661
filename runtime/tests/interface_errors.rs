//! What `#[greenroom::interface]` says about a trait that cannot be an interface, and that it says
//! nothing about one that can.
//!
//! After a change of the words, `TRYBUILD=overwrite cargo test -p greenroom --test
//! interface_errors` writes them anew; read the difference before keeping it.

#[test]
fn errors_are_prose_at_the_token_at_fault() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/ui/pass_*.rs");
    cases.compile_fail("tests/ui/fail_*.rs");
}
