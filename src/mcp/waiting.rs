//! `delegate_wait`: bounded, told of while it lasts, and given up with its call. The tasks go on in any case.
#![expect(clippy::disallowed_methods, reason = "how long a client waits is measured here")]

use std::time::{Duration, Instant};

use serde_json::Value;

use super::answer::Answer;
use super::{Call, args, look};
use crate::core::id::TaskId;
use crate::ops::{Error, Session, wait};

/// Clients end a call that takes longer than they like, and that is often little.
const DEFAULT: u64 = 25;
const LONGEST: u64 = 600;
/// How often we look whether anybody still waits.
const STEP: Duration = Duration::from_millis(100);
/// How often a client is told how far it is.
const NEWS: Duration = Duration::from_secs(2);

pub(super) fn wait(call: &Call, arguments: Value) -> Result<Answer, Error> {
    let args: args::Wait = args::read("delegate_wait", arguments)?;
    let mut session = call.session()?;
    let ids = match look::meant(&session, args.task_ids.as_ref(), args.batch_id.as_ref())? {
        Some(ids) => ids,
        None => wait::meant(&session, &[])?,
    };
    let any = args.mode == Some(args::Mode::Any);
    let timed_out = !for_these(call, &mut session, &ids, any, limit(args.timeout_s, DEFAULT))?;
    answer(&mut session, &ids, timed_out)
}

/// What is said when the waiting is over.
pub(super) fn answer(session: &mut Session, ids: &[TaskId], timed_out: bool) -> Result<Answer, Error> {
    let rows = look::rows(session, ids)?;
    let mut answer = look::answer(&rows);
    answer.value["timed_out"] = timed_out.into();
    if timed_out {
        answer.text = format!("the time to wait is over; the tasks go on, call delegate_wait again\n{}", answer.text);
    }
    Ok(answer)
}

/// How long a call may take.
pub(super) fn limit(said: Option<u64>, default: u64) -> Duration {
    Duration::from_secs(said.unwrap_or(default).min(LONGEST))
}

/// Wait for these, telling how far it is; `false` where the time is over or nobody waits any more.
pub(super) fn for_these(
    call: &Call,
    session: &mut Session,
    ids: &[TaskId],
    any: bool,
    limit: Duration,
) -> Result<bool, Error> {
    let mut clock = Clock::start(limit);
    // The state is read by a second session: the first one holds the connection on which it waits.
    let seen = call.session()?;
    wait::wait_while(session, ids, any, STEP.min(limit), &mut || {
        if clock.is_news() {
            tell(call, &clock, &seen, ids);
        }
        !clock.is_over() && !(call.is_given_up)()
    })
}

fn tell(call: &Call, clock: &Clock, seen: &Session, ids: &[TaskId]) {
    let Ok(state) = seen.state() else { return };
    let open = ids.iter().filter_map(|id| state.task(*id)).filter(|task| task.has_work_ahead());
    let open: Vec<String> = open.map(|task| task.id.to_string()).collect();
    let few = open.iter().take(10).map(String::as_str).collect::<Vec<_>>().join(", ");
    let ended = ids.len() - open.len();
    clock.tell(call, format!("{ended} of {} ended; waiting for {few}", ids.len()));
}

/// The time that a call has taken.
pub(super) struct Clock {
    began: Instant,
    told: Instant,
    limit: Duration,
}

impl Clock {
    pub(super) fn start(limit: Duration) -> Self {
        let began = Instant::now();
        Self { began, told: began, limit }
    }

    pub(super) fn is_over(&self) -> bool {
        self.began.elapsed() >= self.limit
    }

    /// Is it time to tell how far it is? The next time then begins.
    pub(super) fn is_news(&mut self) -> bool {
        let is_news = self.told.elapsed() >= NEWS;
        if is_news {
            self.told = Instant::now();
        }
        is_news
    }

    pub(super) fn tell(&self, call: &Call, text: String) {
        call.tell(self.began.elapsed().as_secs_f64(), self.limit.as_secs_f64(), text);
    }
}
