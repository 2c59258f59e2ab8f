use super::*;

#[test]
fn numbers_of_any_width_are_read_as_written() {
    for value in [0, 1, 127, 128, 129, 16_511, 16_512, 2_113_663, 2_113_664] {
        let mut bytes = Vec::new();
        write_variable(value, &mut bytes);
        assert_eq!(variable(&bytes, 0), Some((value, bytes.len())));
    }
    assert_eq!(variable(&[0x80; 20], 0), None);
}

#[test]
fn what_is_damaged_is_no_index() {
    let empty = [b"DIRC\0\0\0\x02\0\0\0\0".to_vec(), vec![0; HASH]].concat();
    assert!(Index::parse(empty.clone(), 0).is_some());
    let mut random = fastrand::Rng::with_seed(7);
    let one = Index::parse(empty, 0).unwrap();
    let fresh = || Some(Fresh { object: [7; HASH], stat: [1; 10] });
    let names = ["a", "b/c", "b/d"].map(Word::from);
    let bytes = one.with(&names.iter().map(|name| (name, fresh())).collect());
    for _ in 0..2000 {
        let mut bytes = bytes.clone();
        bytes.truncate(random.usize(..bytes.len()));
        for _ in 0..random.usize(..4) {
            let at = random.usize(..bytes.len().max(1)).min(bytes.len().saturating_sub(1));
            if let Some(byte) = bytes.get_mut(at) {
                *byte = random.u8(..);
            }
        }
        // Without its checksum, so that it is looked at; it may be one, but nothing else may come of it.
        let without = [&bytes[..], &[0; HASH]].concat();
        Index::parse(without, 0);
        assert!(Index::parse(bytes, 0).is_none());
    }
}
