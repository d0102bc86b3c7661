use std::collections::BTreeMap;

use serde::Deserialize as DeriveDeserialize;

use super::*;

#[derive(Debug, PartialEq, Serialize, DeriveDeserialize)]
struct Deposit {
    amount: u64,
    note: Option<String>,
}

#[derive(Debug, PartialEq, Serialize, DeriveDeserialize)]
struct Nothing {}

/// Grows a level with every three bytes of MessagePack that an attacker sends.
#[derive(Debug, PartialEq, Serialize, DeriveDeserialize)]
enum Chain {
    N(Box<Self>),
    End,
}

const BOTH: [Encoding; 2] = [Encoding::MessagePack, Encoding::Json];

fn encoded(encoding: Encoding, bytes: impl Into<Vec<u8>>) -> Arguments {
    Arguments::Encoded { encoding, bytes: bytes.into().into() }
}

fn refusal<T: DeserializeOwned + Send + fmt::Debug + 'static>(arguments: Arguments) -> String {
    let failure = arguments.open::<T>().unwrap_err();
    assert_eq!(failure.code, FailureCode::BadArguments);
    assert!(!failure.may_have_run);
    failure.message
}

#[test]
fn arguments_arrive_typed_and_in_both_encodings() {
    let deposit = || Deposit { amount: u64::MAX, note: Some("für Zoë".into()) };
    let typed = Arguments::Typed(Box::new(deposit()));
    assert_eq!(typed.form(), ReplyForm::Typed);
    assert_eq!(typed.open(), Ok(deposit()));
    for encoding in BOTH {
        let bytes = encode(encoding, &deposit()).unwrap();
        let arguments = Arguments::Encoded { encoding, bytes };
        assert_eq!(arguments.form(), ReplyForm::Encoded(encoding));
        assert_eq!(arguments.open(), Ok(deposit()));
    }
}

#[test]
fn message_pack_is_written_with_names() {
    let bytes = encode(Encoding::MessagePack, &Deposit { amount: 5, note: None }).unwrap();
    assert_eq!(&bytes[..], b"\x82\xa6amount\x05\xa4note\xc0");
    assert_eq!(&encode(Encoding::MessagePack, &Nothing {}).unwrap()[..], b"\x80");
}

#[test]
fn unknown_arguments_are_ignored_and_optional_ones_may_be_absent() {
    let expected = Deposit { amount: 5, note: None };
    let json = r#"{"amount": 5, "currency": {"code": ["EUR"]}}"#;
    assert_eq!(encoded(Encoding::Json, json).open(), Ok(expected));
    let newer = BTreeMap::from([("amount", 5), ("precision", 2)]);
    let bytes = encode(Encoding::MessagePack, &newer).unwrap();
    let arguments = Arguments::Encoded { encoding: Encoding::MessagePack, bytes };
    assert_eq!(arguments.open(), Ok(Deposit { amount: 5, note: None }));
}

#[test]
fn a_method_without_arguments_takes_nothing_null_and_an_empty_map() {
    for json in ["", "  ", "null", " null\n", "{}", r#"{"extra": 1}"#] {
        assert_eq!(encoded(Encoding::Json, json).open(), Ok(Nothing {}), "{json:?}");
    }
    for bytes in [&b""[..], b"\xc0", b"\x80", b"\x81\xa5extra\x01"] {
        assert_eq!(encoded(Encoding::MessagePack, bytes).open(), Ok(Nothing {}), "{bytes:?}");
    }
}

#[test]
fn a_refusal_names_the_argument() {
    for encoding in BOTH {
        let missing = refusal::<Deposit>(encoded(encoding, ""));
        assert!(missing.starts_with("missing field `amount`"), "{missing}");
    }
    let json = refusal::<Deposit>(encoded(Encoding::Json, r#"{"note": "x", "amount": "5"}"#));
    assert_eq!(
        json,
        "argument `amount`: invalid type: string \"5\", expected u64 at line 1 column 27"
    );
    let packed = refusal::<Deposit>(encoded(Encoding::MessagePack, b"\x81\xa6amount\xa15"));
    assert!(packed.starts_with("argument `amount`: "), "{packed}");
}

#[test]
fn positional_arguments_are_refused() {
    assert_eq!(
        refusal::<Deposit>(encoded(Encoding::Json, "[5, null]")),
        "the arguments must be a JSON object, such as {\"amount\": 5}"
    );
    assert_eq!(
        refusal::<Deposit>(encoded(Encoding::MessagePack, b"\x92\x05\xc0")),
        "the arguments must be a map from name to value"
    );
}

#[test]
fn bytes_left_over_are_an_error() {
    assert!(decode::<u64>(Encoding::Json, b"5 6").unwrap_err().contains("trailing"));
    assert_eq!(decode::<u64>(Encoding::Json, b" 5\n"), Ok(5));
    for more in [&b"\x05\x05"[..], b"\x05\xc0", b"\x05\xc1", b"\x05\xdd\xff"] {
        assert_eq!(
            decode::<u64>(Encoding::MessagePack, more),
            Err("bytes are left over after the value".to_owned()),
        );
    }
}

#[test]
fn a_cut_message_is_an_error_at_every_length() {
    for encoding in BOTH {
        let whole = encode(encoding, &Deposit { amount: 700, note: Some("n".into()) }).unwrap();
        for len in 0..whole.len() {
            decode::<Deposit>(encoding, &whole[..len]).unwrap_err();
        }
        decode::<Deposit>(encoding, &whole).unwrap();
    }
}

#[test]
fn any_single_wrong_byte_is_survived() {
    for encoding in BOTH {
        let whole = encode(encoding, &Deposit { amount: 700, note: Some("n".into()) }).unwrap();
        for position in 0..whole.len() {
            for byte in 0..=u8::MAX {
                let mut bytes = whole.to_vec();
                bytes[position] = byte;
                // Either is fine: what counts is that nothing panics.
                let _ = encoded(encoding, bytes).open::<Deposit>();
            }
        }
    }
}

#[test]
fn a_deep_enum_is_refused_and_overflows_no_stack() {
    let levels = 1_000_000;
    let too_deep = "nested deeper than 128 levels";
    let nested = [b"\x81\xa1N".repeat(levels), b"\xa3End".to_vec()].concat();
    assert_eq!(decode::<Chain>(Encoding::MessagePack, &nested), Err(too_deep.to_owned()));
    let json = [br#"{"N":"#.repeat(levels), br#""End""#.to_vec()].concat();
    decode::<Chain>(Encoding::Json, &json).unwrap_err();
}

#[test]
fn deep_values_under_an_unknown_argument_are_refused_too() {
    let packed = [b"\x81\xa1x".to_vec(), b"\x91".repeat(1_000_000)].concat();
    refusal::<Nothing>(encoded(Encoding::MessagePack, packed));
    let json = [br#"{"x":"#.to_vec(), b"[".repeat(1_000_000)].concat();
    refusal::<Nothing>(encoded(Encoding::Json, json));
}

#[test]
fn nesting_up_to_the_limit_is_read() {
    // The levels are the chain's enums; JSON's own limit counts the same.
    let chain = |links| (0..links).fold(Chain::End, |chain, _| Chain::N(Box::new(chain)));
    for encoding in BOTH {
        let bytes = encode(encoding, &chain(100)).unwrap();
        assert_eq!(decode(encoding, &bytes), Ok(chain(100)));
        let bytes = encode(encoding, &chain(200)).unwrap();
        decode::<Chain>(encoding, &bytes).unwrap_err();
    }
}

#[test]
fn a_claimed_length_reserves_nothing() {
    struct Reserved(usize);
    impl<'de> serde::Deserialize<'de> for Reserved {
        fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            struct Hint;
            impl<'de> serde::de::Visitor<'de> for Hint {
                type Value = usize;
                fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str("a sequence")
                }
                fn visit_seq<A>(self, mut seq: A) -> Result<usize, A::Error>
                where
                    A: serde::de::SeqAccess<'de>,
                {
                    let hint = seq.size_hint().unwrap_or(0);
                    while seq.next_element::<serde::de::IgnoredAny>().is_ok_and(|e| e.is_some()) {}
                    Err(serde::de::Error::custom(hint))
                }
            }
            from.deserialize_seq(Hint).map(Self)
        }
    }
    // Claims 4,294,967,295 elements in nine bytes.
    let claim = b"\xdd\xff\xff\xff\xff\x01\x02\x03\x04";
    let hint = decode::<Reserved>(Encoding::MessagePack, claim).map(|reserved| reserved.0);
    assert_eq!(hint, Err("9".to_owned()));
    decode::<String>(Encoding::MessagePack, b"\xdb\xff\xff\xff\xffa").unwrap_err();
}

#[test]
fn a_message_that_quotes_the_bytes_stays_short() {
    let json = format!(r#"{{"amount": "{}"}}"#, "ä".repeat(100_000));
    let message = refusal::<Deposit>(encoded(Encoding::Json, json));
    assert!(message.len() < 500, "{} bytes", message.len());
    assert!(message.starts_with("argument `amount`: "));
    assert!(message.ends_with('…'));
}

#[test]
fn the_wrong_arguments_struct_is_refused() {
    let message = refusal::<Deposit>(Arguments::Typed(Box::new(Nothing {})));
    assert!(message.contains("Deposit"), "{message}");
}

#[test]
fn answers_and_the_methods_own_errors_reach_the_caller() {
    let forms = [ReplyForm::Typed, ReplyForm::Encoded(BOTH[0]), ReplyForm::Encoded(BOTH[1])];
    for form in forms {
        let ReplyForm::Encoded(encoding) = form else {
            check_answers(form, Encoding::MessagePack);
            continue;
        };
        check_answers(form, encoding);
    }
}

fn check_answers(form: ReplyForm, encoding: Encoding) {
    let good = form.result::<u64, String>(Ok(7));
    assert_eq!(good.take::<u64, String>(encoding), Ok(7));
    let bad = form.result::<u64, String>(Err("too little".into()));
    assert_eq!(bad.take::<u64, String>(encoding), Err(CallError::Actor("too little".into())));
    assert_eq!(form.value(7_u64).take_value(encoding), Ok(7_u64));
    assert_eq!(form.value(()).take_value(encoding), Ok(()));
}

#[test]
fn an_answer_that_cannot_be_read_or_written_says_that_the_call_ran() {
    let checks: [Result<u64, CallError<String>>; 4] = [
        ReplyForm::Typed.value("text").take(Encoding::Json),
        Outcome::Ok(Bytes::from_static(b"\"x\"")).take(Encoding::Json),
        Outcome::Err(Bytes::from_static(b"5")).take(Encoding::Json),
        // A JSON object cannot have a sequence as its key.
        ReplyForm::Encoded(Encoding::Json)
            .result::<_, String>(Ok(BTreeMap::from([(vec![1], 1)])))
            .take(Encoding::Json),
    ];
    for answer in checks {
        let error = answer.unwrap_err();
        assert_eq!(error.code(), Some(FailureCode::BadReply));
        assert!(error.may_have_run());
    }
    let unexpected = Outcome::Err(Bytes::from_static(b"5")).take_value::<u64>(Encoding::Json);
    assert_eq!(unexpected.unwrap_err().code(), Some(FailureCode::BadReply));
}

#[test]
fn a_failure_passes_through_unchanged() {
    let failure = Failure::new(FailureCode::Timeout, "no answer");
    let failed = Outcome::Failed(failure.clone()).take::<u64, String>(Encoding::Json);
    assert_eq!(failed, Err(CallError::Failed(failure.clone())));
    let failed = Outcome::Failed(failure.clone()).take_value::<u64>(Encoding::Json);
    assert_eq!(failed, Err(CallError::Failed(failure)));
}
