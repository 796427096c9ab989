use super::*;
use proptest::prelude::*;

fn read(b: &[u8]) -> Result<Pickle> {
    Pickle::read(&mut &b[..])
}

#[test]
fn values_are_read() {
    // pickle.dumps({"a": (1, -2, 300), "b": [None, True, 1.5]}, protocol=2)
    let p = read(b"\x80\x02}q\x00(X\x01\x00\x00\x00aq\x01K\x01J\xfe\xff\xff\xffM,\x01\x87q\x02X\x01\x00\x00\x00bq\x03]q\x04(N\x88G?\xf8\x00\x00\x00\x00\x00\x00eu.").unwrap();
    let a = p.items(p.entry(p.root(), "a").unwrap()).unwrap();
    assert_eq!(a.iter().map(|i| p.int(*i).unwrap()).collect::<Vec<_>>(), [1, -2, 300]);
    let b = p.items(p.entry(p.root(), "b").unwrap()).unwrap();
    assert_eq!(
        b.iter().map(|i| p.get(*i).clone()).collect::<Vec<_>>(),
        [Value::None, Value::Bool(true), Value::Float]
    );
}

#[test]
fn small_numbers_are_themselves() {
    let p = read(b"\x80\x02(K\x00K\xffM\x00\x01\x8a\x01\xff)t.").unwrap();
    let items = p.items(p.root()).unwrap();
    let ints: Vec<_> = items.iter().map(|i| p.int(*i)).collect();
    assert_eq!(ints, [Some(0), Some(255), Some(256), Some(-1), None]);
    assert_eq!(p.items(items[4]), Some(&[][..]));
}

#[test]
fn calls_are_kept_and_not_made() {
    // `os.system("false")` as a pickle.
    let p = read(b"\x80\x02cos\nsystem\nX\x05\x00\x00\x00false\x85R.").unwrap();
    let (name, args) = p.call(p.root()).unwrap();
    assert_eq!((name, &**p.text(args[0]).unwrap()), ("os system", "false"));
}

#[test]
fn an_ordered_dictionary_is_a_dictionary() {
    let p = read(b"\x80\x02ccollections\nOrderedDict\nq\x00)Rq\x01X\x01\x00\x00\x00xK\x07s}b.").unwrap();
    assert_eq!(p.int(p.entry(p.root(), "x").unwrap()), Some(7));
    let p = read(b"\x80\x02ccollections\nOrderedDict\n]X\x01\x00\x00\x00xK\x07\x86a\x85R.").unwrap();
    assert_eq!(p.int(p.entry(p.root(), "x").unwrap()), Some(7));
}

#[test]
fn large_numbers_keep_their_bytes() {
    let p = read(b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.").unwrap();
    assert_eq!(p.get(p.root()), &Value::Long(b"l\xfc\x9cF\xf9 j\xa8P\x19"[..].into()));
    let p = read(b"\x80\x02\x8a\x02\x00\xff.").unwrap();
    assert_eq!(p.int(p.root()), Some(-256));
}

#[test]
fn damage_is_an_error() {
    for (bad, printed) in [
        (&b""[..], "ends in the middle"),
        (b"\x80\x02", "ends in the middle"),
        (b"\x80\x02.", "takes a value that is not there"),
        (b"\x80\x02(.", "takes a value that is not there"),
        (b"\x80\x02t.", "no mark"),
        (b"\x80\x02h\x05.", "recalls a value"),
        (b"\x80\x022.", "uses a value that is not there"),
        (b"\x80\x02X\xff\xff\xff\x7fabc.", "ends in the middle"),
        (b"\x80\x02X\x03\x00\x00\x00ab", "ends in the middle"),
        (b"\x80\x02B\xff\xff\xff\x7fabc.", "ends in the middle"),
        (b"\x80\x02(K\x01u.", "key without value"),
        (b"\x80\x02K\x01K\x02\x93.", "has no name"),
        (b"\x80\x01N.", "protocol 1"),
        (b"\x80\x02\xf0.", "0xf0"),
    ] {
        let e = read(bad).unwrap_err().to_string();
        assert!(e.contains(printed), "{bad:?}: {e}");
    }
}

/// A pickle that begins with `first` and repeats `then`.
fn flood(first: &[u8], then: &[u8], times: usize) -> Vec<u8> {
    let mut b = b"\x80\x02".to_vec();
    b.extend(first);
    b.extend(then.repeat(times));
    b
}

/// The memory of each of these is measured in `tests/untrusted.rs`.
#[test]
fn more_than_a_checkpoint_holds_is_an_error() {
    for (first, then, times, printed) in [
        (&b""[..], &b"N"[..], 5_000_000, "more than 4194304 values"),
        (b"N", b"2", 5_000_000, "more than 4194304 values"),
        (b"", b"]", 2_500_000, "more than 2097152 objects"),
        (b"", b"(", 5_000, "nests more than 4096"),
        (b"", b"U\xff\
          0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\
          0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde",
            70_000, "names in the pickle"),
    ] {
        let e = read(&flood(first, then, times)).unwrap_err().to_string();
        assert!(e.contains(printed), "{e}");
    }
}

/// Instructions that copy what they recall: a few bytes of the file must not allocate kilobytes each.
#[test]
fn what_is_copied_is_counted() {
    // A list of 100,000 pairs, made a dictionary repeatedly.
    let mut first = b"ccollections\nOrderedDict\nq\x00](".to_vec();
    first.extend(b"NN\x86".repeat(100_000));
    first.extend(b"e\x85q\x01");
    let e = read(&flood(&first, b"h\x00h\x01R", 1000)).unwrap_err().to_string();
    assert!(e.contains("more than 4194304 values"), "{e}");
    // A name of 1,000 bytes, made a class repeatedly.
    let mut first = b"X\xe8\x03\x00\x00".to_vec();
    first.extend([b'a'; 1000]);
    first.extend(b"q\x00");
    let e = read(&flood(&first, b"h\x00h\x00\x93", 10_000)).unwrap_err().to_string();
    assert!(e.contains("names in the pickle"), "{e}");
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(b in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&b);
    }

    /// Random instructions reach further than random bytes.
    #[test]
    fn no_instructions_make_it_panic(ops in prop::collection::vec(prop::sample::select(
        b"(012N\x88\x89)\x85\x86\x87t]la}dsu\x90\x91\x94\x93R\x81\x92bQe.".to_vec()), 0..60)) {
        let _ = read(&ops);
    }
}
