//! Whom a token names. Every refresh asks, and those that ask at the same time are answered by one query.
//!
//! To hand a query to the thread of its connection and to take its answer back costs several times what the query does: alone, a
//! refresh takes some 60 us, and 14 where 64 share it (docs/performance.md). No answer is older than its question, since a query
//! begins after all have come that it answers: what another process has committed before a refresh, the refresh sees.

use std::{
    collections::{HashMap, VecDeque},
    pin::{Pin, pin},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sea_orm::{
    ColumnTrait, DatabaseConnection, DbBackend, DbErr, EntityTrait, FromQueryResult, QueryFilter,
    QuerySelect, QueryTrait, RuntimeErr,
};
use tokio::{sync::oneshot, task::yield_now, time::timeout};

use super::{
    Pool, Users,
    entity::{Column, Entity},
    kept::Kept,
    store::test_time,
};

/// What decides whether an account's token is refreshed.
#[derive(Clone, Debug, PartialEq, Eq, FromQueryResult)]
pub struct Bearer {
    /// The account.
    pub id: i64,
    /// As stored.
    pub email: String,
    /// A disabled account neither obtains nor refreshes.
    pub is_active: bool,
    /// The cut, in Unix seconds.
    pub tokens_valid_after: i64,
}

/// Accounts in one query.
const TOGETHER: usize = 64;
/// Queries at once, where one is not enough: the more wait for each, the less each costs.
const AT_ONCE: usize = 4;
/// A query that is slower than this no longer blocks the queue: it may hang on its connection.
const LATE: Duration = Duration::from_millis(20);

type Answer = Result<Option<Bearer>, DbErr>;
type Found = HashMap<i64, Result<Bearer, DbErr>>;

/// Those who wait for a query.
#[derive(Clone, Debug, Default)]
pub(super) struct Line(Arc<Mutex<Waiting>>);

#[derive(Debug, Default)]
struct Waiting {
    who: VecDeque<Asking>,
    /// Tasks that query for them in time.
    asking: usize,
    /// Tasks that wait for a query that is late, and for nothing else.
    late: usize,
}

#[derive(Debug)]
struct Asking {
    id: i64,
    reply: oneshot::Sender<Answer>,
}

/// Limits that leave connections for logins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Share {
    /// Concurrent batches.
    at_once: usize,
    /// Further batches, whose query is late.
    late: usize,
    /// When a query is late.
    after: Duration,
    /// How long a batch reuses its connection.
    hold: Duration,
}

impl Share {
    /// Over a slow network every query lasts a round trip. So logins need connections that no batch reuses, and a query is late
    /// only when its connection would fail the test of an idle connection.
    pub(super) fn of(db: &DatabaseConnection, wait: Duration) -> Self {
        let limit = Pool::of(db).limit as usize;
        let half = limit / 2;
        match db.get_database_backend() {
            DbBackend::Sqlite => Self {
                at_once: AT_ONCE,
                late: half,
                after: LATE,
                hold: Duration::MAX,
            },
            _ => Self {
                at_once: half.clamp(1, AT_ONCE),
                late: half,
                after: test_time(wait),
                // Logins have no other connection than the only one.
                hold: if limit == 1 { LATE } else { Duration::MAX },
            },
        }
    }
}

impl Users {
    /// Whom a token names by id, if there is such an account.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn bearer(&self, id: i64) -> Answer {
        let (reply, answer) = oneshot::channel();
        if let Some(turn) = self.line.join(Asking { id, reply }, self.share) {
            self.begin(turn);
        }
        let lost = |_| DbErr::Conn(RuntimeErr::Internal("the query was given up".to_owned()));
        self.within(async { answer.await.map_err(lost)? }).await
    }

    fn begin(&self, turn: Turn) {
        tokio::spawn(self.clone().ask(turn));
    }

    /// Asks for those who wait, until nobody does.
    async fn ask(self, mut turn: Turn) {
        let mut kept = None;
        loop {
            // Who has a request to be read now comes along. Without that, fewer share a query, and a refresh takes 8 us more.
            yield_now().await;
            let Some(asking) = turn.next() else { return };
            let ids = asking.iter().map(|asking| asking.id).collect();
            // Not after an error: then nobody knows in what state it is.
            let before = kept.take();
            let query = async {
                let (found, after) = bearers(&self.db, before, ids).await?;
                kept = after.filter(|it| it.age() < self.share.hold);
                Ok(found)
            };
            let begin = |turn| self.begin(turn);
            let query = pin!(self.bounded(query));
            let found = turn.wait_for(query, begin).await;
            for Asking { id, reply } in asking {
                let answer = match &found {
                    Ok(found) => found.get(&id).cloned().transpose(),
                    Err(error) => Err(error.clone()),
                };
                // It may not be waited for any more.
                let _ = reply.send(answer);
            }
        }
    }
}

/// The accounts with these ids. A row that cannot be read is the fault of that account alone.
async fn bearers(
    db: &DatabaseConnection,
    kept: Option<Kept>,
    mut ids: Vec<i64>,
) -> Result<(Found, Option<Kept>), DbErr> {
    ids.sort_unstable();
    ids.dedup();
    // A connection keeps a prepared statement for each number of ids: so there are seven.
    ids.resize(ids.len().next_power_of_two(), ids[0]);
    let accounts = Entity::find()
        .select_only()
        .columns([
            Column::Id,
            Column::Email,
            Column::IsActive,
            Column::TokensValidAfter,
        ])
        .filter(Column::Id.is_in(ids.iter().copied()))
        .into_query();
    let (rows, kept) = Kept::rows(kept, db, &accounts, &ids).await?;
    let found = rows
        .into_iter()
        .map(|row| Ok((row.try_get("", "id")?, Bearer::from_query_result(&row, ""))))
        .collect::<Result<_, DbErr>>()?;
    Ok((found, kept))
}

impl Line {
    /// Queues up. Whoever is given a turn then has to ask, for all who wait.
    fn join(&self, asking: Asking, share: Share) -> Option<Turn> {
        let mut line = self.lock();
        line.who.push_back(asking);
        self.turn(line, share)
    }

    /// Another turn, if those that there are are not enough.
    fn turn(&self, mut line: MutexGuard<'_, Waiting>, share: Share) -> Option<Turn> {
        if line.asking >= line.who.len().div_ceil(TOGETHER).min(share.at_once) {
            return None;
        }
        line.asking += 1;
        Some(Turn {
            line: self.clone(),
            share,
            state: State::InTime,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// That of one who asks for the others.
struct Turn {
    line: Line,
    share: Share,
    state: State,
}

enum State {
    InTime,
    Late,
    Over,
}

impl Turn {
    /// Those to ask for now. None is the end of the turn: whoever comes then begins another.
    fn next(&mut self) -> Option<Vec<Asking>> {
        let line = self.line.clone();
        let mut line = line.lock();
        let mut asking = Vec::new();
        if matches!(self.state, State::InTime) {
            // Some may have given up.
            while asking.len() < TOGETHER
                && let Some(who) = line.who.pop_front()
            {
                if !who.reply.is_closed() {
                    asking.push(who);
                }
            }
        }
        if asking.is_empty() {
            self.end(&mut line);
            return None;
        }
        Some(asking)
    }

    /// Returns the result of the query of this turn. When the query is late, it unblocks the queue, unless too many queries are
    /// late; then it checks again after the same time.
    async fn wait_for<T>(
        &mut self,
        mut query: Pin<&mut impl Future<Output = T>>,
        begin: impl Fn(Turn),
    ) -> T {
        while matches!(self.state, State::InTime) {
            if let Ok(found) = timeout(self.share.after, &mut query).await {
                return found;
            }
            if let Some(turn) = self.hand_over() {
                begin(turn);
            }
        }
        query.await
    }

    /// The query of this turn is late: it is the last of it, and this is the turn of those who wait already, if any do;
    /// unless so many are late already. Logins need connections, too, and if more queries hang, the database itself hangs.
    fn hand_over(&mut self) -> Option<Turn> {
        let mut line = self.line.lock();
        if line.late >= self.share.late {
            return None;
        }
        line.asking -= 1;
        line.late += 1;
        self.state = State::Late;
        self.line.turn(line, self.share)
    }

    fn end(&mut self, line: &mut Waiting) {
        match std::mem::replace(&mut self.state, State::Over) {
            State::InTime => line.asking -= 1,
            State::Late => line.late -= 1,
            State::Over => {}
        }
    }
}

/// Of a turn that is cut short, by a panic or by the end of the process, nobody waits for ever.
impl Drop for Turn {
    fn drop(&mut self) {
        let line = self.line.clone();
        let mut line = line.lock();
        if matches!(self.state, State::InTime) && line.asking == 1 {
            line.who.clear();
        }
        self.end(&mut line);
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, task::Poll};

    use tokio::sync::mpsc;

    use super::*;

    const SHARE: Share = Share {
        at_once: AT_ONCE,
        late: 1,
        after: LATE,
        hold: Duration::MAX,
    };

    fn comes(line: &Line, id: i64) -> (Option<Turn>, oneshot::Receiver<Answer>) {
        comes_with(line, id, SHARE)
    }

    fn comes_with(line: &Line, id: i64, share: Share) -> (Option<Turn>, oneshot::Receiver<Answer>) {
        let (reply, answer) = oneshot::channel();
        (line.join(Asking { id, reply }, share), answer)
    }

    fn next(turn: &mut Turn) -> Option<Vec<i64>> {
        let asking = turn.next()?;
        Some(asking.into_iter().map(|asking| asking.id).collect())
    }

    #[test]
    fn one_asks_for_all_who_wait() {
        let line = Line::default();
        let (turn, _first) = comes(&line, 1);
        let mut turn = turn.unwrap();
        let others = [2, 3].map(|id| comes(&line, id));
        assert!(others.iter().all(|(turn, _)| turn.is_none()));
        assert_eq!(next(&mut turn).unwrap(), [1, 2, 3]);

        // Who comes while the query is under way was not asked for: the next query is for them.
        let (none, _late) = comes(&line, 2);
        assert!(none.is_none());
        assert_eq!(next(&mut turn).unwrap(), [2]);
        assert_eq!(next(&mut turn), None);
        assert!(comes(&line, 4).0.is_some());
    }

    #[test]
    fn where_too_many_wait_for_one_several_ask() {
        let line = Line::default();
        let all: Vec<_> = (0..1000).map(|id| comes(&line, id)).collect();
        let (turns, _answers): (Vec<_>, Vec<_>) = all.into_iter().unzip();
        let mut turns: Vec<_> = turns.into_iter().flatten().collect();
        assert_eq!(turns.len(), AT_ONCE);
        for turn in &mut turns {
            assert_eq!(next(turn).unwrap().len(), TOGETHER);
        }
    }

    #[test]
    fn nobody_is_asked_for_who_has_given_up() {
        let line = Line::default();
        let (turn, answer) = comes(&line, 1);
        let (_, _second) = comes(&line, 2);
        drop(answer);
        assert_eq!(next(&mut turn.unwrap()).unwrap(), [2]);
    }

    #[test]
    fn a_query_that_hangs_holds_up_only_those_it_is_for() {
        let line = Line::default();
        let (hangs, _first) = comes(&line, 1);
        let mut hangs = hangs.unwrap();
        assert_eq!(next(&mut hangs).unwrap(), [1]);
        let (none, _second) = comes(&line, 2);
        assert!(none.is_none());
        let mut turn = hangs.hand_over().unwrap();
        assert_eq!(next(&mut turn).unwrap(), [2]);
        assert_eq!(next(&mut turn), None);
        // Whoever comes now does not wait for it, either.
        let (turn, _third) = comes(&line, 3);
        assert_eq!(next(&mut turn.unwrap()).unwrap(), [3]);
        assert_eq!(next(&mut hangs), None);
    }

    #[test]
    fn if_too_many_hang_the_others_wait() {
        let line = Line::default();
        let most = 4;
        let share = Share {
            late: most,
            ..SHARE
        };
        let late: Vec<_> = (0..9)
            .map_while(|id| {
                let (turn, _answer) = comes_with(&line, id, share);
                let mut turn = turn?;
                assert_eq!(next(&mut turn).unwrap(), [id]);
                assert!(turn.hand_over().is_none());
                Some(turn)
            })
            .collect();
        assert_eq!(late.len(), most + 1);
    }

    #[tokio::test]
    async fn those_who_had_to_wait_for_one_that_hangs_go_on_as_soon_as_they_may() {
        let line = Line::default();
        let (late, _zeroth) = comes(&line, 0);
        let mut late = late.unwrap();
        assert_eq!(next(&mut late).unwrap(), [0]);
        assert!(late.hand_over().is_none());
        let (turn, _first) = comes(&line, 1);
        let mut turn = turn.unwrap();
        assert_eq!(next(&mut turn).unwrap(), [1]);
        let (none, _second) = comes(&line, 2);
        assert!(none.is_none());

        let (go_on, mut others) = mpsc::unbounded_channel();
        let begin = |turn| go_on.send(turn).unwrap();
        // Another query is late until after the first look.
        let mut late = Some(late);
        let mut looks = 0;
        let hangs = pin!(poll_fn(|_| {
            looks += 1;
            late.take_if(|_| looks > 2);
            Poll::<()>::Pending
        }));
        let mut others = tokio::select! {
            () = turn.wait_for(hangs, begin) => unreachable!(),
            others = others.recv() => others.unwrap(),
        };
        assert!(looks > 2);
        assert_eq!(next(&mut others).unwrap(), [2]);
    }

    #[test]
    fn nobody_waits_for_a_turn_that_was_cut_short() {
        let line = Line::default();
        let (turn, mut answer) = comes(&line, 1);
        drop(turn);
        let closed = oneshot::error::TryRecvError::Closed;
        assert_eq!(answer.try_recv().unwrap_err(), closed);
        assert!(comes(&line, 1).0.is_some());
    }
}
