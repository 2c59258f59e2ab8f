//! `delegate_roles`.

use serde_json::{Value, json};

use super::Call;
use super::answer::Answer;
use crate::core::word::shown;
use crate::ops::{Error, roles};

/// The roles that whoever calls may hand tasks to.
pub(super) fn list(call: &Call, _: Value) -> Result<Answer, Error> {
    let offered = roles::offered(&call.session()?, call.settings.role.as_deref())?;
    let mut text = Vec::new();
    let mut rows = Vec::new();
    for (row, is_trusted) in offered {
        let about = row.description.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
        let state = if is_trusted { "trusted" } else { "needs a person's approval" };
        text.push(format!("{} ({state}): {}", shown(row.name.as_str()), shown(about)));
        rows.push(json!({
            "name": row.name, "description": row.description, "trusted": is_trusted, "available": true,
            "source": row.source, "may": row.may,
        }));
    }
    if text.is_empty() {
        text.push("there are no roles that tasks could be given".to_owned());
    }
    Ok(Answer::new(text.join("\n"), json!({ "roles": rows })))
}
