//! A run while it goes, as it is shown: at the foot of the terminal, line by line, or on all of it.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::measure::progress::Progress;
use crate::plan::{Plan, PlannedTrial};
use crate::results::Tried;
use crate::terminal::fullscreen::FullScreen;
use crate::terminal::progress::{Mode, Screen};
use crate::terminal::stderr::say_line;

use super::dashboard;
use super::under_way::{Ended, State};

/// The progress of a run.
#[derive(Debug)]
pub struct Live {
    shown: Shown,
    state: Arc<Mutex<State>>,
}

/// Where it is shown.
#[derive(Debug)]
enum Shown {
    /// At the foot of the terminal, or line by line, or not at all.
    Foot(Screen),
    /// On the whole terminal; it is drawn by itself.
    Full(FullScreen),
}

/// What the keys of the dashboard do.
#[derive(Clone, Copy, Debug)]
pub struct Keys {
    /// Ends the run with what it has.
    pub quit: fn(),
    /// Whether that was asked for, by key or otherwise.
    pub is_quitting: fn() -> bool,
}

impl Live {
    /// Nothing was done yet, nothing is shown.
    pub fn new(plan: &Plan, mode: Mode) -> Live {
        Live {
            shown: Shown::Foot(Screen::new(mode)),
            state: Arc::new(Mutex::new(State::new(plan))),
        }
    }

    /// On the whole terminal.
    ///
    /// # Errors
    /// Where the terminal cannot be had.
    pub fn full(plan: &Plan, color: bool, keys: Keys) -> io::Result<Live> {
        let state = Arc::new(Mutex::new(State::new(plan)));
        let drawn = Arc::clone(&state);
        let frame = move |columns, rows| {
            let quitting = (keys.is_quitting)();
            dashboard::frame(&locked(&drawn), columns, rows, color, quitting)
        };
        let key = move |typed| {
            if matches!(typed, b'q' | b'Q') {
                (keys.quit)();
            }
        };
        Ok(Live {
            shown: Shown::Full(FullScreen::open(frame, key)?),
            state,
        })
    }

    /// How many servers are suspended while others are measured.
    pub fn suspended(&mut self, servers: usize) {
        locked(&self.state).suspended = servers;
        self.draw();
    }

    /// A trial begins; `attempt` counts from 1. `tried` is what a search tries with it.
    pub fn begin(&mut self, trial: &PlannedTrial, attempt: u32, tried: Option<Tried>) {
        locked(&self.state).begin(trial.number, attempt, tried);
        self.draw();
    }

    /// The running trial says how far it is.
    pub fn progress(&mut self, progress: Progress) {
        locked(&self.state).progress(progress);
        self.draw();
    }

    /// The running trial is over. Where standard error is no terminal, this prints its line.
    pub fn end(&mut self, ended: &Ended) {
        let line = {
            let mut state = locked(&self.state);
            let began = state.current.as_ref().map(|it| it.began);
            let seconds = began.map_or(0.0, |began| began.elapsed().as_secs_f64());
            state.end(ended, seconds)
        };
        if let Shown::Foot(screen) = &self.shown
            && screen.mode() == Mode::Lines
        {
            screen.say(&line);
        }
        self.draw();
    }

    /// Prints a line that stays: a warning, or what is being waited for. On the whole terminal it is shown
    /// at once and printed in the end.
    pub fn say(&self, line: &str) {
        match &self.shown {
            Shown::Foot(screen) => screen.say(line),
            Shown::Full(_) => locked(&self.state).said.push(line.to_owned()),
        }
    }

    /// Takes everything away. Dropping does so too.
    pub fn finish(self) {
        if let Shown::Full(screen) = self.shown {
            drop(screen);
            for line in &locked(&self.state).said {
                say_line(line);
            }
        }
    }

    fn draw(&mut self) {
        if let Shown::Foot(screen) = &mut self.shown
            && screen.mode() == Mode::Drawn
        {
            let state = locked(&self.state);
            screen.draw(&state.lines(state.elapsed()));
        }
    }
}

/// What is known is known, whoever panicked meanwhile.
fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
