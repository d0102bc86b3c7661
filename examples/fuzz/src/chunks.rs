//! Inputs of several parts.

/// The parts of an input, each with its length before it: two bytes, the lower one first. The last
/// part may be shorter than it says.
pub(crate) fn split(mut input: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (len, rest) = input.split_first_chunk()?;
        let len = usize::from(u16::from_le_bytes(*len)).min(rest.len());
        let (part, rest) = rest.split_at(len);
        input = rest;
        Some(part)
    })
}

/// The input with these parts.
pub(crate) fn join<P: AsRef<[u8]>>(parts: impl IntoIterator<Item = P>) -> Vec<u8> {
    let mut input = Vec::new();
    for part in parts {
        let part = part.as_ref();
        let len = u16::try_from(part.len()).expect("a part is short");
        input.extend(len.to_le_bytes());
        input.extend(part);
    }
    input
}
