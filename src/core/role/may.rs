//! What a role may do, in a few words each.

use super::Role;
use crate::core::sandbox::{Network, Tier};
use crate::core::units::Bytes;
use crate::core::word::{Word, shown};

impl Role {
    /// What sets it apart from a task without a role.
    pub fn may(&self) -> Vec<String> {
        let mut may = Vec::new();
        let allowed = &self.permissions;
        let list = |what: &str, words: &[Word]| {
            (!words.is_empty())
                .then(|| format!("{what} {}", words.iter().map(Word::shown).collect::<Vec<_>>().join(", ")))
        };
        may.extend(allowed.read_only.then(|| "writes nothing".to_owned()));
        may.extend(allowed.network.as_ref().map(|network| match network {
            Network::None => "no network".to_owned(),
            Network::Allow => "network".to_owned(),
            Network::List(rules) => {
                format!(
                    "network: {}",
                    rules.iter().map(|rule| String::from(rule.clone())).collect::<Vec<_>>().join(", ")
                )
            }
        }));
        if let Some(commands) = &allowed.commands {
            let mut all: Vec<String> = commands.patterns.iter().map(|one| shown(one)).collect();
            all.extend(commands.read_only.then(|| "what only reads".to_owned()));
            may.push(format!("runs {}", if all.is_empty() { "nothing".to_owned() } else { all.join(" | ") }));
        }
        may.extend(allowed.exec.as_ref().and_then(|exec| list("runs", exec)));
        may.extend(list("writes also", &allowed.write));
        may.extend(list("reads also", &allowed.read));
        may.extend(list("does not see", &allowed.hide));
        may.extend((!allowed.env_pass.is_empty()).then(|| format!("is given {}", allowed.env_pass.join(", "))));
        may.extend(allowed.memory.map(|memory| format!("at most {} of memory", Bytes(memory))));
        may.extend(allowed.processes.map(|processes| format!("at most {processes} processes")));
        may.extend((allowed.require > Tier::None).then(|| format!("needs the {} sandbox", allowed.require)));
        let paths: Vec<&str> = self.result.paths.iter().map(|glob| glob.as_str()).collect();
        may.extend((!paths.is_empty()).then(|| format!("touches {}", paths.join(", "))));
        may.extend(self.result.require_changes.then(|| "must change something".to_owned()));
        let globs = |globs: &[crate::core::plan::Glob]| {
            globs.iter().map(|glob| shown(glob.as_str())).collect::<Vec<_>>().join(", ")
        };
        may.extend(self.available.as_ref().map(|list| match list.is_empty() {
            true => "hands over to nobody".to_owned(),
            false => format!("hands over to {}", globs(list)),
        }));
        may.extend((self.delegate == Some(false)).then(|| "its tasks delegate nothing".to_owned()));
        may.extend((!self.trusted.is_empty()).then(|| format!("without asking to {}", globs(&self.trusted))));
        may
    }
}
