//! Gives what libFuzzer makes up to the target of this name.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| greenroom_fuzz::check("orders", input));
