//! Callers on one thread: each call is timed, and one that is refused ends the run.

use std::collections::{HashSet, VecDeque};
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};

use super::connection::{Came, Connection};
use super::job::Job;
use super::requests::PREFIX_BYTES;
use super::spread::Spread;

/// How long after the end of a run the last answer may come.
const LAST_ANSWER_MAX: Duration = Duration::from_secs(30);
/// Calls at once on one connection, where the server takes more.
const STREAMS_MAX: usize = 1_000;
/// The longest sleep where nothing comes.
const SLEEP_MAX: Duration = Duration::from_millis(100);
/// Where calls arrive by the clock: how late they may be noticed.
const ARRIVAL_SLEEP: Duration = Duration::from_micros(100);

/// How a job is run.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// How many calls are under way at once, at most.
    pub callers: usize,
    pub connections: usize,
    /// A caller's next call goes over the next connection, not over the same.
    pub hops: bool,
    /// So many calls arrive in a second, whether or not earlier ones were answered; a call's
    /// time begins when it should have been sent. None: a caller calls again when it
    /// has its answer.
    pub arrivals: Option<u64>,
    /// More may arrive than can be done: a refusal is counted and does not end the run, and a
    /// call that arrives while all callers are busy is not made, and counted too.
    pub sheds: bool,
}

impl Shape {
    pub fn closed(callers: usize, connections: usize) -> Self {
        Self {
            callers,
            connections: connections.min(callers),
            hops: false,
            arrivals: None,
            sheds: false,
        }
    }

    /// So many calls arrive in a second, which may be more than can be done.
    pub fn open(rate: u64, connections: usize) -> Self {
        Self {
            callers: connections * STREAMS_MAX,
            connections,
            hops: true,
            arrivals: Some(rate),
            sheds: true,
        }
    }
}

/// What was seen.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Calls answered in the time that was measured; none of them was refused.
    pub answered: u64,
    /// Calls refused in that time, and those that were not made in it for want of a caller.
    pub refused: u64,
    pub missed: u64,
    /// Calls that were ever made; all of them were answered, but for these numbers.
    pub made: u64,
    pub refused_numbers: HashSet<u64>,
    /// Calls that began in the time that was measured, and were not refused.
    pub calls: Spread,
}

/// A call under way.
struct Call {
    number: u64,
    start: Instant,
    has_message: bool,
    reply: Vec<u8>,
}

/// A connection and its calls: that of stream `first` is the first in the queue.
struct Line {
    connection: Connection,
    first: u32,
    calls: VecDeque<Option<Call>>,
    busy: usize,
}

impl Line {
    fn begin(&mut self, job: &Job<'_>, number: u64, start: Instant) {
        let length = job.request_bytes();
        let write = |into: &mut Vec<u8>| job.write(number, into);
        self.connection.begin(length, write);
        self.busy += 1;
        self.calls.push_back(Some(Call {
            number,
            start,
            has_message: false,
            reply: Vec::new(),
        }));
    }

    /// Reads what came; calls that have ended are added to `done`.
    fn receive(&mut self, keeps_reply: bool, done: &mut Vec<Call>) -> Result<(), String> {
        let (calls, first, before) = (&mut self.calls, self.first, done.len());
        self.connection.receive(|stream, what| {
            let position = stream.wrapping_sub(first) / 2;
            let place = calls.get_mut(usize::try_from(position).unwrap_or(usize::MAX));
            let place = place.ok_or("an answer came that nobody waits for")?;
            match (what, place.as_mut()) {
                (Came::Part(part), Some(call)) => {
                    call.has_message |= part.len() >= PREFIX_BYTES;
                    if keeps_reply {
                        call.reply.extend_from_slice(part);
                    }
                }
                (Came::End, Some(_)) => done.extend(place.take()),
                (_, None) => return Err("more came after the end of an answer".to_owned()),
            }
            Ok(())
        })?;
        while let Some(None) = self.calls.front() {
            self.calls.pop_front();
            self.first += 2;
        }
        self.busy -= done.len() - before;
        Ok(())
    }
}

/// When a run is measured, and ends.
#[derive(Clone, Copy)]
struct Window {
    begin: Instant,
    end: Instant,
}

/// A job that is being run.
struct Run<'run, 'job> {
    job: &'run mut Job<'job>,
    shape: Shape,
    window: Option<Window>,
    start: Instant,
    poll: Poll,
    lines: Vec<Line>,
    /// The number of the next call, and the line that a hopping one takes.
    next: u64,
    next_line: usize,
    /// How many have arrived by the clock, made or not.
    arrived: u64,
    answered: u64,
    refused: u64,
    missed: u64,
    refused_numbers: HashSet<u64>,
    nanos: Vec<u64>,
}

/// Runs all of a job's calls.
pub fn run_all(address: &str, job: &mut Job<'_>, shape: Shape) -> Result<Seen, String> {
    Run::new(address, job, shape, None)?.run(&mut || ())
}

/// Runs a job for some time to warm up and then for some that is measured. `at` is called
/// when the measured time begins and when it ends.
pub fn run_for(
    address: &str,
    job: &mut Job<'_>,
    shape: Shape,
    (warm_up, measured): (Duration, Duration),
    at: &mut dyn FnMut(),
) -> Result<Seen, String> {
    Run::new(address, job, shape, Some((warm_up, measured)))?.run(at)
}

impl<'run, 'job> Run<'run, 'job> {
    fn new(
        address: &str,
        job: &'run mut Job<'job>,
        shape: Shape,
        times: Option<(Duration, Duration)>,
    ) -> Result<Self, String> {
        let poll = Poll::new().map_err(text)?;
        let mut lines = Vec::new();
        for number in 0..shape.connections {
            let mut connection = Connection::open(address, job.template.method)?;
            let interest = Interest::READABLE | Interest::WRITABLE;
            poll.registry()
                .register(connection.socket(), Token(number), interest)
                .map_err(text)?;
            lines.push(Line {
                connection,
                first: 1,
                calls: VecDeque::new(),
                busy: 0,
            });
        }
        let start = Instant::now();
        Ok(Self {
            job,
            shape,
            window: times.map(|(warm_up, measured)| Window {
                begin: start + warm_up,
                end: start + warm_up + measured,
            }),
            start,
            poll,
            lines,
            next: 0,
            next_line: 0,
            arrived: 0,
            answered: 0,
            refused: 0,
            missed: 0,
            refused_numbers: HashSet::new(),
            nanos: Vec::new(),
        })
    }

    fn run(mut self, at: &mut dyn FnMut()) -> Result<Seen, String> {
        let mut edges = self.window.map_or(Vec::new(), |window| {
            // The one that comes first is the last of the list.
            vec![window.end, window.begin]
        });
        let mut events = Events::with_capacity(1_024);
        let mut done = Vec::new();
        if self.shape.arrivals.is_none() {
            for number in 0..self.shape.callers {
                self.call(number % self.lines.len(), self.start);
            }
        }
        loop {
            self.arrive();
            for line in &mut self.lines {
                if line.connection.has_output() {
                    line.connection.send()?;
                }
            }
            let now = Instant::now();
            if edges.pop_if(|edge| *edge <= now).is_some() {
                at();
                continue;
            }
            if edges.is_empty() && !self.more(now) && self.busy() == 0 {
                break;
            }
            let late = self.window.map_or(now, |window| window.end);
            if now > late + LAST_ANSWER_MAX {
                return Err("answers do not come".to_owned());
            }
            self.sleep(now, edges.last().copied(), &mut events)?;
            for event in &events {
                self.read(event.token().0, &mut done)?;
            }
        }
        Ok(Seen {
            answered: self.answered,
            refused: self.refused,
            missed: self.missed,
            made: self.next,
            refused_numbers: self.refused_numbers,
            calls: Spread::of(self.nanos),
        })
    }

    fn busy(&self) -> usize {
        self.lines.iter().map(|line| line.busy).sum()
    }

    /// When the next call arrives by the clock.
    fn arrival(&self, rate: u64) -> Instant {
        let nanos = u128::from(self.arrived) * 1_000_000_000 / u128::from(rate);
        self.start + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// Whether another call is to be made, now or later.
    fn more(&self, now: Instant) -> bool {
        let time = match self.shape.arrivals {
            None => now,
            Some(rate) => self.arrival(rate),
        };
        self.job.calls_max.is_none_or(|max| self.next < max)
            && self.window.is_none_or(|window| time < window.end)
    }

    /// Makes a call, unless there is none left.
    fn call(&mut self, line: usize, start: Instant) {
        if self.more(start) {
            self.lines[line].begin(self.job, self.next, start);
            self.next += 1;
        }
    }

    /// Makes the calls whose time has come.
    fn arrive(&mut self) {
        let Some(rate) = self.shape.arrivals else {
            return;
        };
        let now = Instant::now();
        let mut busy = self.busy();
        while self.arrival(rate) <= now && self.more(now) {
            let start = self.arrival(rate);
            let line = self.hop();
            let streams_max = self.lines[line].connection.streams_max().min(STREAMS_MAX);
            let free = busy < self.shape.callers && self.lines[line].busy < streams_max;
            if !free && !self.shape.sheds {
                return;
            }
            if free {
                self.call(line, start);
                busy += 1;
            } else if self.measures(start) {
                self.missed += 1;
            }
            self.arrived += 1;
        }
    }

    /// Whether this moment is in the time that is measured.
    fn measures(&self, time: Instant) -> bool {
        self.window
            .is_some_and(|window| time >= window.begin && time < window.end)
    }

    /// Connections in turn.
    fn hop(&mut self) -> usize {
        self.next_line = (self.next_line + 1) % self.lines.len();
        self.next_line
    }

    /// Sleeps until something comes or is to be done.
    fn sleep(
        &mut self,
        now: Instant,
        edge: Option<Instant>,
        events: &mut Events,
    ) -> Result<(), String> {
        let mut time = edge.map_or(SLEEP_MAX, |edge| {
            SLEEP_MAX.min(edge.saturating_duration_since(now))
        });
        if self.shape.arrivals.is_some() {
            // Polling knows milliseconds only.
            std::thread::sleep(time.min(ARRIVAL_SLEEP));
            time = Duration::ZERO;
        }
        match self.poll.poll(events, Some(time)) {
            Err(error) if error.kind() != std::io::ErrorKind::Interrupted => Err(text(error)),
            _ => Ok(()),
        }
    }

    /// Takes what came over a line, and lets callers who were answered call again.
    fn read(&mut self, line: usize, done: &mut Vec<Call>) -> Result<(), String> {
        let keeps_reply = self.job.on_reply.is_some();
        self.lines[line].receive(keeps_reply, done)?;
        if done.is_empty() {
            return Ok(());
        }
        let now = Instant::now();
        for call in done.drain(..) {
            if !call.has_message && self.shape.sheds {
                self.refused += u64::from(self.measures(now));
                self.refused_numbers.insert(call.number);
                continue;
            }
            if !call.has_message {
                return Err(format!("{} was refused", self.job.template.method));
            }
            if let Some(check) = &mut self.job.on_reply {
                check(call.number, &call.reply[PREFIX_BYTES..])?;
            }
            self.answered += u64::from(self.measures(now));
            if self.measures(call.start) {
                let took = now.duration_since(call.start).as_nanos();
                self.nanos.push(u64::try_from(took).unwrap_or(u64::MAX));
            }
            if self.shape.arrivals.is_none() {
                let next = if self.shape.hops { self.hop() } else { line };
                self.call(next, now);
            }
        }
        // Before others are read: the server can begin.
        self.lines[line].connection.send()
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
