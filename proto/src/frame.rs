//! A frame as its bytes, so that envelopes are written into it and read from it in place.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::encoding::{DecodeContext, WireType};
use prost::{DecodeError, Message};

use crate::fields::{Fields, Malformed};
use crate::v1::Envelope;
use crate::view;

/// The number of `Frame.envelopes`.
pub(crate) const ENVELOPES: u64 = 1;

/// The message `Frame`: many envelopes, as they are on the wire. Nothing is checked before
/// [`Frame::envelopes`] or [`Frame::views`] reads them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame(Bytes);

impl Frame {
    /// A frame of these envelopes.
    pub fn of<'a>(envelopes: impl IntoIterator<Item = &'a Envelope>) -> Self {
        let mut bytes = BytesMut::new();
        for envelope in envelopes {
            view::put_envelope(&mut bytes, envelope);
        }
        Self(bytes.freeze())
    }

    /// A frame of what the functions of [`view`] have written.
    pub fn written(bytes: Bytes) -> Self {
        Self(bytes)
    }

    /// The frame as it is on the wire.
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// The envelopes as messages of their own.
    ///
    /// # Errors
    /// When the bytes are no frame.
    pub fn envelopes(&self) -> Result<Vec<Envelope>, Malformed> {
        let decode =
            |bytes| Envelope::decode(bytes).map_err(|_| Malformed("an envelope can't be read"));
        let fields = Fields(&self.0).filter_map(|field| match field {
            Ok((ENVELOPES, value)) => Some(value.bytes()),
            Ok(_) => None,
            Err(malformed) => Some(Err(malformed)),
        });
        fields.map(|bytes| bytes.and_then(decode)).collect()
    }

    /// The envelopes in place.
    pub fn views(&self) -> view::Views<'_> {
        view::Views::new(&self.0)
    }
}

/// A message whose fields are its bytes.
impl Message for Frame {
    fn encode_raw(&self, out: &mut impl BufMut) {
        out.put_slice(&self.0);
    }

    fn encoded_len(&self) -> usize {
        self.0.len()
    }

    /// All at once, without a copy where the buffer allows it.
    fn merge(&mut self, mut bytes: impl Buf) -> Result<(), DecodeError> {
        self.append(bytes.copy_to_bytes(bytes.remaining()));
        Ok(())
    }

    /// As a part of another message, which no frame is.
    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        bytes: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), DecodeError> {
        if u64::from(tag) != ENVELOPES {
            return prost::encoding::skip_field(wire_type, tag, bytes, context);
        }
        let mut envelope = Envelope::default();
        prost::encoding::message::merge(wire_type, &mut envelope, bytes, context)?;
        self.append(Self::of([&envelope]).0);
        Ok(())
    }

    fn clear(&mut self) {
        self.0.clear();
    }
}

impl Frame {
    fn append(&mut self, bytes: Bytes) {
        self.0 = if self.0.is_empty() { bytes } else { [&self.0[..], &bytes].concat().into() };
    }
}
