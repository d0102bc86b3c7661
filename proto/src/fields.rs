//! Protobuf's own layer, as far as it is needed to read and write messages in place: fields as pairs of
//! number and value. <https://protobuf.dev/programming-guides/encoding/>

use std::fmt;

use bytes::{BufMut, BytesMut};

/// Bytes that are no protobuf message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed(pub(crate) &'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "malformed message: {}", self.0)
    }
}

impl std::error::Error for Malformed {}

/// The value of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// Of a fixed width, which no message of ours has.
    Fixed,
}

impl<'a> Value<'a> {
    pub(crate) fn number(self) -> Result<u64, Malformed> {
        match self {
            Self::Number(number) => Ok(number),
            _ => Err(Malformed("a field that should be a number is none")),
        }
    }

    pub(crate) fn bytes(self) -> Result<&'a [u8], Malformed> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err(Malformed("a field that should have a length has none")),
        }
    }

    pub(crate) fn text(self) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Malformed("a text is not UTF-8"))
    }
}

/// The fields of a message, in the order in which they were written.
#[derive(Clone, Debug)]
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl<'a> Fields<'a> {
    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut number = 0_u64;
        for (place, byte) in self.0.iter().take(10).enumerate() {
            // Of the tenth byte only one bit has room.
            if place == 9 && *byte > 1 {
                return Err(Malformed("a number has more than 64 bits"));
            }
            number |= u64::from(byte & 0x7f) << (7 * place);
            if byte & 0x80 == 0 {
                self.0 = &self.0[place + 1..];
                return Ok(number);
            }
        }
        Err(Malformed("a number is cut off or too long"))
    }

    fn take(&mut self, len: u64) -> Result<&'a [u8], Malformed> {
        let len = usize::try_from(len).map_err(|_| CUT_OFF)?;
        let (taken, rest) = self.0.split_at_checked(len).ok_or(CUT_OFF)?;
        self.0 = rest;
        Ok(taken)
    }

    fn field(&mut self) -> Result<(u64, Value<'a>), Malformed> {
        let key = self.varint()?;
        let value = match key & 7 {
            0 => Value::Number(self.varint()?),
            1 => self.take(8).map(|_| Value::Fixed)?,
            2 => {
                let len = self.varint()?;
                Value::Bytes(self.take(len)?)
            }
            5 => self.take(4).map(|_| Value::Fixed)?,
            _ => return Err(Malformed("a field has no known wire type")),
        };
        match key >> 3 {
            0 => Err(Malformed("a field has the number 0")),
            number => Ok((number, value)),
        }
    }
}

const CUT_OFF: Malformed = Malformed("a field is cut off");

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Value<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

/// Length of a number, in bytes.
pub(crate) fn varint_len(number: u64) -> usize {
    // 7 bits a byte; 0 takes one, too.
    (64 - (number | 1).leading_zeros() as usize).div_ceil(7)
}

pub(crate) fn put_varint(out: &mut BytesMut, mut number: u64) {
    while number >= 0x80 {
        out.put_u8(number as u8 | 0x80);
        number >>= 7;
    }
    out.put_u8(number as u8);
}

/// Length of a number field, which is left out when it is 0.
pub(crate) fn number_len(field: u64, number: u64) -> usize {
    if number == 0 { 0 } else { varint_len(field << 3) + varint_len(number) }
}

pub(crate) fn put_number(out: &mut BytesMut, field: u64, number: u64) {
    if number != 0 {
        put_varint(out, field << 3);
        put_varint(out, number);
    }
}

/// Length of a field of `len` bytes, also of none.
pub(crate) fn bytes_len(field: u64, len: usize) -> usize {
    varint_len(field << 3) + varint_len(len as u64) + len
}

/// What stands before a field of `len` bytes.
pub(crate) fn put_head(out: &mut BytesMut, field: u64, len: usize) {
    put_varint(out, field << 3 | 2);
    put_varint(out, len as u64);
}

pub(crate) fn put_bytes(out: &mut BytesMut, field: u64, bytes: &[u8]) {
    put_head(out, field, bytes.len());
    out.put_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_survive_and_have_the_length_that_was_told() {
        let edges = (0..64).flat_map(|bit| [(1_u64 << bit) - 1, 1 << bit]).chain([u64::MAX]);
        for number in edges {
            let mut out = BytesMut::new();
            put_varint(&mut out, number);
            assert_eq!(out.len(), varint_len(number), "{number}");
            assert_eq!(Fields(&out).varint(), Ok(number));
            // Cut off anywhere, it is no number.
            for len in 0..out.len() {
                assert!(Fields(&out[..len]).varint().is_err(), "{len} bytes of {number}");
            }
        }
        assert!(Fields(&[0xff; 10]).varint().is_err());
        assert!(Fields(&[0x80; 11]).varint().is_err());
    }

    #[test]
    fn a_field_ends_within_its_message() {
        let lies: [&[u8]; 7] = [
            &[0x0a],                                                             // no length
            &[0x0a, 5, 1, 2],                                                    // too long
            &[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], // 2^64 - 1
            &[0x09, 1, 2, 3],                                                    // 8 bytes
            &[0x0d, 1],                                                          // 4 bytes
            &[0x0b, 0],                                                          // a group
            &[0x02, 0],                                                          // field 0
        ];
        for bytes in lies {
            let fields: Vec<_> = Fields(bytes).collect();
            assert!(matches!(fields[..], [Err(_)]), "{bytes:?}: {fields:?}");
        }
    }
}
