//! The files of a result as a list: those to be looked at first on top, the others below their directories.

use crate::core::review::Sheet;

/// A row of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    /// What follows.
    Head(String),
    /// A file, by its place in the sheet.
    File(usize),
    /// Why the file above it is to be looked at first, by its place.
    Why(usize),
}

/// All rows, and the row of each file.
pub(super) fn items(sheet: &Sheet) -> (Vec<Item>, Vec<usize>) {
    let (mut items, mut places) = (Vec::with_capacity(sheet.files.len()), Vec::with_capacity(sheet.files.len()));
    let mut last: Option<Vec<u8>> = None;
    for (place, file) in sheet.files.iter().enumerate() {
        let path = file.path.as_bytes();
        let is_first = file.look_first.is_some();
        if is_first && place == 0 {
            items.push(Item::Head("look at these first".to_owned()));
        }
        if !is_first {
            let dir = path.iter().rposition(|byte| *byte == b'/').map_or(&b""[..], |at| &path[..=at]);
            if last.as_deref() != Some(dir) {
                let name =
                    if dir.is_empty() { "./".to_owned() } else { crate::core::word::Word::from(dir.to_vec()).shown() };
                items.push(Item::Head(name));
                last = Some(dir.to_vec());
            }
        }
        places.push(items.len());
        items.push(Item::File(place));
        if is_first {
            items.push(Item::Why(place));
        }
    }
    (items, places)
}
