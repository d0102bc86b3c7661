//! A secret that is compared and never shown.

use std::fmt;

use subtle::ConstantTimeEq;

/// Shortest token, in bytes.
pub(crate) const TOKEN_LEN_MIN: usize = 16;

/// The operators' secret. Printing it shows nothing of it.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// A token of at least 16 visible ASCII characters.
    ///
    /// # Errors
    /// What is wrong with it, without showing it.
    pub fn new(secret: &str) -> Result<Self, String> {
        let well = secret.len() >= TOKEN_LEN_MIN && secret.bytes().all(|b| b.is_ascii_graphic());
        if well {
            return Ok(Self(secret.to_owned()));
        }
        Err(format!(
            "must be at least {TOKEN_LEN_MIN} visible ASCII characters, got {} bytes",
            secret.len()
        ))
    }

    /// Whether this is the secret; takes as long for a near miss as for any other.
    pub(crate) fn is(&self, given: &str) -> bool {
        self.0.as_bytes().ct_eq(given.as_bytes()).into()
    }

    /// The secret, to be sent to another node.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_compared_and_never_shown() {
        let token = Token::new("correct-horse-battery").unwrap();
        assert!(token.is("correct-horse-battery"));
        assert!(!token.is("correct-horse-batterx") && !token.is(""));
        assert!(!format!("{token:?}").contains("horse"));
    }

    #[test]
    fn a_poor_token_is_refused_without_showing_it() {
        for poor in ["short", "with a space in it somewhere", ""] {
            let error = Token::new(poor).unwrap_err();
            assert!(error.contains("at least 16") && (poor.is_empty() || !error.contains(poor)));
        }
    }
}
