//! The keys, all and in short.

/// Every key, and what it does.
pub(super) const KEYS: &[(&str, &str)] = &[
    ("j k ↓ ↑", "move; Ctrl-D and Ctrl-U half a page, PgDn and PgUp a page, g and G to the ends"),
    ("h l ← →", "move sideways"),
    ("n p", "the next hunk, the one before"),
    ("Tab ] [", "the next file, the one before"),
    ("> < 1..9", "the next result, the one before, that one"),
    ("a x", "accept or refuse the hunk, and go to the next"),
    ("Space", "accept or refuse the hunk, in turn"),
    ("A X", "accept or refuse the file, and go to the next"),
    ("u U", "take back what was said of the hunk, of the file"),
    ("t", "the whole result: accept, refuse or send it back"),
    ("c d", "comment on the line, or change the comment; delete it"),
    ("C", "comment on the whole result"),
    ("e", "what was said of the result, as JSON in $EDITOR"),
    ("s f", "side by side or not; the list of files or not"),
    ("/ . ,", "search; the next match, the one before"),
    ("w Enter", "carry out what was said, after a summary"),
    ("q", "leave; what was said is kept"),
];

/// The keys that one needs most.
pub(super) const FOOT: &str =
    "q leave  ? keys  a accept  x refuse  n p hunk  ] file  > result  t whole  c comment  s split  w carry out";
