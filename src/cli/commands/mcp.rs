//! `mcp`: the server, and `mcp install`.

use std::io::IsTerminal as _;

use super::{Context, answer};
use crate::cli::args::{McpArgs, McpInstallArgs, McpVerb};
use crate::mcp::{self, Settings};
use crate::ops::{Error, register};

pub(super) fn mcp(context: &Context, args: McpArgs) -> Result<u8, Error> {
    let settings = Settings { directory: context.directory.clone(), agent: args.agent, role: args.role };
    match (args.verb, args.http) {
        (Some(McpVerb::Install(install)), _) => self::install(context, &install),
        (None, Some(port)) => {
            let up = |address: &str, token: &str| {
                answer(|out| writeln!(out, "{address}\nAuthorization: Bearer {token}")).map(drop)
            };
            mcp::http::serve(settings, port, up).map(|()| 0)
        }
        (None, None) => {
            if std::io::stdin().is_terminal() {
                super::tell(
                    "this waits for a client of the Model Context Protocol; Ctrl-C ends it, `pleach mcp install` tells a client of it",
                );
            }
            mcp::serve(settings).map(|()| 0)
        }
    }
}

fn install(context: &Context, args: &McpInstallArgs) -> Result<u8, Error> {
    let agent = args.agent.as_deref();
    if args.print {
        let planned = register::preview(&context.directory, args.client, args.scope, agent)?;
        super::tell(&format!("this belongs into {}:", planned.file.display()));
        return answer(|out| writeln!(out, "{}", planned.entry.trim_end()));
    }
    let planned = register::plan(&context.directory, args.client, args.scope, agent)?;
    register::write(&planned)?;
    answer(|out| match &planned.change {
        Some(_) => {
            writeln!(out, "wrote our entry into {}; restart the client, or have it look again", planned.file.display())
        }
        None => writeln!(out, "{} has our entry already", planned.file.display()),
    })
}
