//! `gc`, `doctor`, `approve`, `man`.

use std::path::Path;

use serde_json::json;

use super::{Context, answer, print_json, tell};
use crate::cli::args::{ApproveArgs, DoctorArgs, GcArgs};
use crate::cli::disk_view::size;
use crate::cli::style::{Paint, count};
use crate::cli::{ask, generate, time};
use crate::core::word::shown;
use crate::ops::doctor::{self as doctor_op, Health, Mode};
use crate::ops::{Error, ErrorKind, approve as approve_op, gc as gc_op};
use crate::process::clock;

pub(super) fn gc(context: &Context, args: &GcArgs) -> Result<u8, Error> {
    let mut session = context.session()?;
    let wanted =
        gc_op::Wanted { older_than: args.older_than.unwrap_or(gc_op::DEFAULT_AGE), keep_bytes: args.keep_bytes };
    let items = gc_op::plan(&session, wanted)?;
    let bytes: u64 = items.iter().map(|item| item.bytes).sum();
    if args.yes {
        gc_op::free(&mut session, &items)?;
    }
    if args.json {
        return answer(|out| print_json(out, &json!({ "freed": args.yes, "bytes": bytes, "items": items })));
    }
    let now = clock::now();
    answer(|out| {
        for item in &items {
            let size = size(item.bytes);
            writeln!(out, "{:>8}  {size:>9}  {}, {}", item.attempt, item.what, time::ago(item.since, now))?;
        }
        let total = format!("{}, {}", count(items.len() as u64, "attempt"), size(bytes));
        match (items.is_empty(), args.yes) {
            (true, _) => {
                writeln!(out, "nothing to free: nothing settled is older than {}", time::span(wanted.older_than * 1000))
            }
            (false, true) => writeln!(out, "freed {total}"),
            (false, false) => writeln!(out, "would free {total}; do it with `{}`", in_earnest(args)),
        }
    })
}

/// The command line that frees what this one only tells of.
fn in_earnest(args: &GcArgs) -> String {
    let age = args.older_than.map(|seconds| format!(" --older-than {seconds}s"));
    let keep = args.keep_bytes.map(|bytes| format!(" --keep-bytes {bytes}"));
    format!("pleach gc{}{} --yes", age.unwrap_or_default(), keep.unwrap_or_default())
}

pub(super) fn doctor(context: &Context, args: &DoctorArgs) -> Result<u8, Error> {
    let mut session = context.strict_session()?;
    let findings = doctor_op::examine(&mut session, if args.dry_run { Mode::Look } else { Mode::Mend })?;
    let style = context.style();
    if args.json {
        answer(|out| print_json(out, &findings))?;
    } else {
        answer(|out| {
            findings.iter().try_for_each(|finding| {
                let (mark, paint) = match finding.health {
                    Health::Good => ("ok", Paint::Good),
                    Health::Mended => ("mended", Paint::Busy),
                    Health::Mendable => ("to mend", Paint::Look),
                    Health::Bad => ("bad", Paint::Bad),
                };
                writeln!(out, "{} {}", style.paint(paint, format!("{mark:<8}")), shown(&finding.what))?;
                let step = finding.next_step.iter().filter(|_| matches!(finding.health, Health::Bad | Health::Good));
                step.into_iter().try_for_each(|step| writeln!(out, "         {}", shown(step)))
            })
        })?;
    }
    let sick = findings.iter().any(|finding| matches!(finding.health, Health::Bad | Health::Mendable));
    Ok(u8::from(sick))
}

pub(super) fn approve(context: &Context, args: &ApproveArgs) -> Result<u8, Error> {
    if !args.role.is_empty() {
        return super::roles::approve(context, args);
    }
    let session = context.strict_session()?;
    let open = approve_op::pending_now(&session)?;
    if !open.is_empty() && !args.yes && !ask::yes(context.color, &open)? {
        for one in &open {
            tell(&format!("{} sets {}: {}", one.file.display(), one.what, shown(&one.text)));
        }
        return Err(Error::new(ErrorKind::Refused, "nothing was approved", "approve it with `pleach approve --yes`"));
    }
    approve_op::approve(&open)?;
    if args.json {
        let approved: Vec<_> = open.iter().map(|one| json!({ "what": one.what, "text": one.text })).collect();
        return answer(|out| print_json(out, &json!({ "approved": approved })));
    }
    answer(|out| match open.len() {
        0 => writeln!(out, "there is nothing that needs approval"),
        some => writeln!(out, "approved {}; a change of the text asks again", count(some as u64, "setting")),
    })
}

pub(super) fn man(dir: Option<&Path>) -> Result<u8, Error> {
    match dir {
        None => answer(|out| generate::man_page(out)),
        Some(dir) => {
            let cannot = |error| Error::plain(ErrorKind::Error, format!("cannot write to {}: {error}", dir.display()));
            let pages = generate::man_pages(dir).map_err(cannot)?;
            answer(|out| writeln!(out, "wrote {} to {}", count(pages.len() as u64, "page"), dir.display()))
        }
    }
}
