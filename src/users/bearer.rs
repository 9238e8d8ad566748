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
    ColumnTrait, DatabaseConnection, DbErr, EntityTrait, FromQueryResult, QueryFilter, QuerySelect,
    QueryTrait, RuntimeErr,
};
use tokio::{sync::oneshot, task::yield_now, time::timeout};

use super::{
    Users,
    entity::{Column, Entity},
    kept::Kept,
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
/// For so long, others wait for a query: one that hangs on its connection is not to stop them all.
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

impl Users {
    /// Whom a token names by id, if there is such an account.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn bearer(&self, id: i64) -> Answer {
        let (reply, answer) = oneshot::channel();
        if let Some(turn) = self.line.join(Asking { id, reply }) {
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
                let found;
                (found, kept) = bearers(&self.db, before, ids).await?;
                Ok(found)
            };
            // The others need connections, too. If more hang it is not one of them, but the database.
            let most = || self.pool().limit as usize / 2;
            let begin = |turn| self.begin(turn);
            let query = pin!(self.bounded(query));
            let found = turn.wait_for(query, most, begin).await;
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
    fn join(&self, asking: Asking) -> Option<Turn> {
        let mut line = self.lock();
        line.who.push_back(asking);
        self.turn(line)
    }

    /// Another turn, if those that there are are not enough.
    fn turn(&self, mut line: MutexGuard<'_, Waiting>) -> Option<Turn> {
        if line.asking >= line.who.len().div_ceil(TOGETHER).min(AT_ONCE) {
            return None;
        }
        line.asking += 1;
        Some(Turn {
            line: self.clone(),
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

    /// What the query of this turn finds. When it is late, the others go on without it, if fewer than `most` are; if not, it looks
    /// again in as long.
    async fn wait_for<T>(
        &mut self,
        mut query: Pin<&mut impl Future<Output = T>>,
        most: impl Fn() -> usize,
        begin: impl Fn(Turn),
    ) -> T {
        while matches!(self.state, State::InTime) {
            if let Ok(found) = timeout(LATE, &mut query).await {
                return found;
            }
            if let Some(turn) = self.hand_over(most()) {
                begin(turn);
            }
        }
        query.await
    }

    /// The query of this turn is late: it is the last of it, and this is the turn of those who wait already, if any do;
    /// unless so many are late already.
    fn hand_over(&mut self, most: usize) -> Option<Turn> {
        let mut line = self.line.lock();
        if line.late >= most {
            return None;
        }
        line.asking -= 1;
        line.late += 1;
        self.state = State::Late;
        self.line.turn(line)
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
    use std::{cell::Cell, future::pending};

    use tokio::sync::mpsc;

    use super::*;

    fn comes(line: &Line, id: i64) -> (Option<Turn>, oneshot::Receiver<Answer>) {
        let (reply, answer) = oneshot::channel();
        (line.join(Asking { id, reply }), answer)
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
        let mut turn = hangs.hand_over(1).unwrap();
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
        let late: Vec<_> = (0..9)
            .map_while(|id| {
                let (turn, _answer) = comes(&line, id);
                let mut turn = turn?;
                assert_eq!(next(&mut turn).unwrap(), [id]);
                assert!(turn.hand_over(most).is_none());
                Some(turn)
            })
            .collect();
        assert_eq!(late.len(), most + 1);
    }

    #[tokio::test]
    async fn those_who_had_to_wait_for_one_that_hangs_go_on_as_soon_as_they_may() {
        let line = Line::default();
        let (turn, _first) = comes(&line, 1);
        let mut turn = turn.unwrap();
        assert_eq!(next(&mut turn).unwrap(), [1]);
        let (none, _second) = comes(&line, 2);
        assert!(none.is_none());

        let looked = Cell::new(0);
        let others_hang_at_first = || usize::from(looked.replace(looked.get() + 1) == 2);
        let (go_on, mut others) = mpsc::unbounded_channel();
        let begin = |turn| go_on.send(turn).unwrap();
        let hangs = pin!(pending::<()>());
        let mut others = tokio::select! {
            () = turn.wait_for(hangs, others_hang_at_first, begin) => unreachable!(),
            others = others.recv() => others.unwrap(),
        };
        assert_eq!(looked.get(), 3);
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
