//! The terminal: taken over whole, and left as it was found, also by a panic.

use std::io::{self, Stdout, Write};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Once};
use std::time::Duration;

use crossterm::cursor::{Hide, Show};
use crossterm::event::{DisableBracketedPaste, EnableBracketedPaste};
use crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use crossterm::{execute, queue};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// How long a view has to end by itself once its terminal is gone: the last that was asked for is waited for.
const GRACE: Duration = Duration::from_secs(3);

/// Is the terminal ours at the moment?
static OURS: AtomicBool = AtomicBool::new(false);

/// The terminal while it is ours.
pub(in crate::cli) struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
}

impl Screen {
    /// Take it.
    pub(in crate::cli) fn take() -> io::Result<Self> {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |info| {
                give_back();
                before(info);
            }));
        });
        take_over()?;
        let terminal = Terminal::new(CrosstermBackend::new(io::stdout()));
        if terminal.is_err() {
            give_back();
        }
        Ok(Self { terminal: terminal? })
    }

    /// Draw what has changed.
    pub(in crate::cli) fn draw(&mut self, draw: impl FnOnce(&mut ratatui::buffer::Buffer)) -> io::Result<()> {
        self.terminal.draw(|frame| draw(frame.buffer_mut())).map(drop)
    }

    /// Columns and lines.
    pub(in crate::cli) fn size(&self) -> io::Result<(u16, u16)> {
        self.terminal.size().map(|size| (size.width, size.height))
    }

    /// Give it to somebody else for a while.
    pub(in crate::cli) fn lend<T>(&mut self, to: impl FnOnce() -> T) -> io::Result<T> {
        give_back();
        let answer = to();
        take_over()?;
        self.terminal.clear()?;
        Ok(answer)
    }
}

/// The number of the signal that is to end a view; 0 until there is one. A terminal that is gone counts as a hang-up, also where
/// nobody sends one.
pub(in crate::cli) fn signals() -> io::Result<Arc<AtomicUsize>> {
    let signal = Arc::new(AtomicUsize::new(0));
    for number in [SIGTERM, SIGHUP, SIGINT] {
        signal_hook::flag::register_usize(number, Arc::clone(&signal), number as usize)?;
    }
    let heard = Arc::clone(&signal);
    std::thread::spawn(move || {
        // Asked for nothing, it answers only when the other side is gone.
        let gone = || poll(&mut [PollFd::new(&io::stdin(), PollFlags::empty())], None);
        let answer = std::iter::repeat_with(gone).find(|answer| *answer != Err(Errno::INTR));
        if !matches!(answer, Some(Ok(_))) {
            return;
        }
        heard.store(SIGHUP as usize, Ordering::SeqCst);
        // Who reads keys may never come back: there, the end of the input is read again and again.
        std::thread::sleep(GRACE);
        let _ = signal_hook::low_level::emulate_default_handler(SIGHUP);
    });
    Ok(signal)
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

fn take_over() -> io::Result<()> {
    OURS.store(true, Ordering::SeqCst);
    let taken = enable_raw_mode();
    let taken = taken.and_then(|()| execute!(io::stdout(), EnterAlternateScreen, EnableBracketedPaste, Hide));
    if taken.is_err() {
        give_back();
    }
    taken
}

/// As it was found. Where there is no terminal any more, there is nothing to give back.
fn give_back() {
    if OURS.swap(false, Ordering::SeqCst) {
        let mut out = io::stdout();
        let _ = queue!(out, DisableBracketedPaste, LeaveAlternateScreen, Show);
        let _ = out.flush();
        let _ = disable_raw_mode();
    }
}
