//! A type as the text of the contract.

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};
use quote::ToTokens;

/// The type as text, the same however its author spaced it and whether or not a comma trails.
pub(crate) fn text(ty: impl ToTokens) -> String {
    let mut text = Text { out: String::new(), after_word: false };
    text.push_all(ty.into_token_stream(), Delimiter::None);
    text.out
}

struct Text {
    out: String,
    /// Whether a word that follows must be kept apart from what is there.
    after_word: bool,
}

impl Text {
    fn push_all(&mut self, tokens: TokenStream, within: Delimiter) {
        let mut commas = 0;
        let mut open_angles = 0_usize;
        let mut tokens = tokens.into_iter().peekable();
        while let Some(token) = tokens.next() {
            match token {
                TokenTree::Group(group) => {
                    let (open, close) = match group.delimiter() {
                        Delimiter::Parenthesis => ("(", ")"),
                        Delimiter::Bracket => ("[", "]"),
                        Delimiter::Brace => ("{", "}"),
                        Delimiter::None => ("", ""),
                    };
                    self.push(open);
                    self.push_all(group.stream(), group.delimiter());
                    self.push(close);
                }
                TokenTree::Ident(word) => self.push_word(&word.to_string()),
                TokenTree::Literal(word) => self.push_word(&word.to_string()),
                TokenTree::Punct(punct) => match (punct.as_char(), punct.spacing()) {
                    (',', _) => {
                        commas += usize::from(open_angles == 0);
                        match tokens.peek() {
                            // `(T,)` is a tuple because of its comma; elsewhere a last comma is
                            // only style.
                            None if within == Delimiter::Parenthesis && commas == 1 => {
                                self.push(",");
                            }
                            None => {}
                            Some(TokenTree::Punct(next)) if next.as_char() == '>' => {}
                            Some(_) => self.push(", "),
                        }
                    }
                    (';', _) => self.push("; "),
                    ('+', _) => self.push(" + "),
                    ('=', _) => self.push(" = "),
                    ('-', Spacing::Joint) => self.push(" -"),
                    ('>', _) if self.out.ends_with(" -") => self.push("> "),
                    ('<', _) => {
                        open_angles += 1;
                        self.push("<");
                    }
                    ('>', _) => {
                        open_angles = open_angles.saturating_sub(1);
                        self.push(">");
                    }
                    ('\'', _) => {
                        self.push_word("'");
                        self.after_word = false;
                    }
                    (other, _) => self.push(other.encode_utf8(&mut [0; 4])),
                },
            }
        }
    }

    fn push_word(&mut self, word: &str) {
        if self.after_word {
            self.out.push(' ');
        }
        self.out.push_str(word);
        self.after_word = true;
    }

    fn push(&mut self, text: &str) {
        self.out.push_str(text);
        self.after_word &= text.is_empty();
    }
}

#[cfg(test)]
mod tests {
    use syn::Type;

    use super::*;

    fn text_of(source: &str) -> String {
        text(syn::parse_str::<Type>(source).expect("a type"))
    }

    #[test]
    fn spacing_and_trailing_commas_make_no_difference() {
        for (source, expected) in [
            ("u64", "u64"),
            ("Vec < u8 >", "Vec<u8>"),
            (
                "std :: collections::HashMap<String,Vec<u8>,>",
                "std::collections::HashMap<String, Vec<u8>>",
            ),
            ("( u8 , )", "(u8,)"),
            ("(u8,u16,)", "(u8, u16)"),
            ("()", "()"),
            ("[ u8;4 ]", "[u8; 4]"),
            ("Box<dyn Fn(u8)->u16+Send>", "Box<dyn Fn(u8) -> u16 + Send>"),
            ("Cow<'static,str>", "Cow<'static, str>"),
            ("<T as Iterator>::Item", "<T as Iterator>::Item"),
            ("(Result<A,B>,)", "(Result<A, B>,)"),
        ] {
            assert_eq!(text_of(source), expected);
        }
    }
}
