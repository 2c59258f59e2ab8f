//! Completions and man pages, from the table of everything that can be typed.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::{args, exit};
use crate::config::env;

/// The completions of a shell.
///
/// # Errors
/// Where `out` cannot be written to.
pub fn completions(out: &mut dyn Write, shell: Shell) -> io::Result<()> {
    let mut bytes = Vec::new();
    clap_complete::generate(shell, &mut args::table(), "pleach", &mut bytes);
    out.write_all(&bytes)
}

/// The first man page: with the exit codes, the environment and the files.
///
/// # Errors
/// Where `out` cannot be written to.
pub fn man_page(out: &mut dyn Write) -> io::Result<()> {
    let mut table = args::table();
    table.build();
    page(out, table, true)
}

/// All man pages, one file a verb. The answer is what was written.
///
/// # Errors
/// Where the directory cannot be made or written to.
pub fn man_pages(dir: &Path) -> io::Result<Vec<PathBuf>> {
    std::fs::create_dir_all(dir)?;
    let mut table = args::table();
    table.build();
    let verbs: Vec<_> = table.get_subcommands().filter(|verb| verb.get_name() != "help").cloned().collect();
    let mut written = vec![write_page(dir, table, true)?];
    for verb in verbs {
        written.push(write_page(dir, verb, false)?);
    }
    Ok(written)
}

/// A whole file or none: somebody may be reading the old one.
fn write_page(dir: &Path, command: clap::Command, is_first: bool) -> io::Result<PathBuf> {
    let path = dir.join(Man::new(command.clone()).get_filename());
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    page(&mut file, command, is_first)?;
    let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    file.as_file().set_permissions(readable)?;
    file.persist(&path)?;
    Ok(path)
}

fn page(out: &mut dyn Write, command: clap::Command, is_first: bool) -> io::Result<()> {
    Man::new(command).manual("pleach manual").render(out)?;
    if is_first {
        list(out, "EXIT STATUS", exit::TABLE)?;
        list(out, "ENVIRONMENT", env::NAMES)?;
        list(out, "FILES", FILES)?;
    }
    Ok(())
}

const FILES: &[(&str, &str)] = &[
    (".pleach.toml", "the repository's own configuration, at the top of a checkout"),
    ("$XDG_CONFIG_HOME/pleach/config.toml", "your own configuration"),
    (".worktreeinclude", "ignored files that every worktree gets a copy of, as patterns of .gitignore"),
];

fn list(out: &mut dyn Write, title: &str, entries: &[(&str, &str)]) -> io::Result<()> {
    let mut roff = Roff::new();
    roff.control("SH", [title]);
    for (name, meaning) in entries {
        roff.control("TP", []);
        roff.text([bold(*name)]);
        roff.text([roman(*meaning)]);
    }
    roff.to_writer(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_has_a_page_and_the_first_page_has_the_tables() {
        let dir = tempfile::tempdir().unwrap();
        let written = man_pages(dir.path()).unwrap();
        let names: Vec<_> = written.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
        assert!(names.contains(&"pleach.1") && names.contains(&"pleach-merge.1"), "{names:?}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), args::table().get_subcommands().count() + 1);
        let first = std::fs::read_to_string(&written[0]).unwrap();
        for word in ["EXIT STATUS", "124", "PLEACH_STATE_DIR", ".worktreeinclude"] {
            assert!(first.contains(word), "{word}");
        }
    }

    #[test]
    fn every_shell_gets_completions() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::Elvish, Shell::PowerShell] {
            let mut out = Vec::new();
            completions(&mut out, shell).unwrap();
            assert!(String::from_utf8(out).unwrap().contains("discard"), "{shell}");
        }
    }
}
