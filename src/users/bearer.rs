//! Whom a token names. Every refresh asks, and those that ask at the same time are answered by one query.
//!
//! To hand a query to the thread of its connection and to take its answer back costs several times what the query does:
//! shared by all that wait, it is as good as nothing (docs/performance.md). No answer is older than its question, since a query
//! begins after all have come that it answers: what another process has committed before a refresh, the refresh sees.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use sea_orm::{
    ColumnTrait, DatabaseConnection, DbErr, EntityTrait, QueryFilter, QuerySelect, RuntimeErr,
};
use tokio::{sync::oneshot, task::yield_now};

use super::{
    Users,
    entity::{Column, Entity},
};

/// What decides whether an account's token is refreshed.
#[derive(Clone, Debug, PartialEq, Eq)]
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

/// Accounts in one query: connections keep a prepared statement for each number up to a hundred.
const TOGETHER: usize = 64;
/// Queries at once, where one is not enough: the more wait for each, the less each costs.
const AT_ONCE: usize = 4;

type Answer = Result<Option<Bearer>, DbErr>;

/// Those who wait for a query.
#[derive(Clone, Debug, Default)]
pub(super) struct Line(Arc<Mutex<Waiting>>);

#[derive(Debug, Default)]
struct Waiting {
    who: Vec<(i64, oneshot::Sender<Answer>)>,
    /// Tasks that query for them.
    asking: usize,
}

impl Users {
    /// Whom a token names by id, if there is such an account.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn bearer(&self, id: i64) -> Answer {
        let (reply, answer) = oneshot::channel();
        if let Some(turn) = self.line.join(id, reply) {
            tokio::spawn(self.clone().ask(turn));
        }
        let lost = |_| DbErr::Conn(RuntimeErr::Internal("the query was given up".to_owned()));
        self.within(async { answer.await.map_err(lost)? }).await
    }

    /// Asks for those who wait, until nobody does.
    async fn ask(self, mut turn: Turn) {
        loop {
            // Who has a request to be read now comes along.
            yield_now().await;
            let Some(asking) = turn.next() else { return };
            let mut ids: Vec<_> = asking.iter().map(|(id, _)| *id).collect();
            ids.sort_unstable();
            ids.dedup();
            let found = self.bounded(bearers(&self.db, ids)).await;
            for (id, reply) in asking {
                let answer = found.as_ref().map_err(DbErr::clone);
                let answer = answer.map(|bearers| bearers.get(&id).cloned());
                // It may not be waited for any more.
                let _ = reply.send(answer);
            }
        }
    }
}

async fn bearers(db: &DatabaseConnection, ids: Vec<i64>) -> Result<HashMap<i64, Bearer>, DbErr> {
    let accounts = Entity::find()
        .select_only()
        .columns([
            Column::Id,
            Column::Email,
            Column::IsActive,
            Column::TokensValidAfter,
        ])
        .filter(Column::Id.is_in(ids))
        // By place: to find columns by their names takes longer than to read them.
        .into_tuple::<(i64, String, bool, i64)>();
    let accounts = accounts.all(db).await?.into_iter();
    let bearers = accounts.map(|(id, email, is_active, tokens_valid_after)| Bearer {
        id,
        email,
        is_active,
        tokens_valid_after,
    });
    Ok(bearers.map(|bearer| (bearer.id, bearer)).collect())
}

impl Line {
    /// Queues up. Whom this gives a turn is to ask for the others.
    fn join(&self, id: i64, reply: oneshot::Sender<Answer>) -> Option<Turn> {
        let mut line = self.lock();
        line.who.push((id, reply));
        if line.asking >= (line.who.len() / TOGETHER + 1).min(AT_ONCE) {
            return None;
        }
        line.asking += 1;
        Some(Turn {
            line: self.clone(),
            over: false,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// That of one who asks for the others.
struct Turn {
    line: Line,
    over: bool,
}

impl Turn {
    /// Those to ask for now. None is the end of the turn: whoever comes then begins another.
    fn next(&mut self) -> Option<Vec<(i64, oneshot::Sender<Answer>)>> {
        let mut line = self.line.lock();
        let together = line.who.len().min(TOGETHER);
        if together == 0 {
            line.asking -= 1;
            self.over = true;
            return None;
        }
        Some(line.who.drain(..together).collect())
    }
}

/// Of a turn that is cut short, by a panic or by the end of the process, nobody waits for ever.
impl Drop for Turn {
    fn drop(&mut self) {
        if !self.over {
            let mut line = self.line.lock();
            line.asking -= 1;
            if line.asking == 0 {
                line.who.clear();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn comes(line: &Line, id: i64) -> (Option<Turn>, oneshot::Receiver<Answer>) {
        let (reply, answer) = oneshot::channel();
        (line.join(id, reply), answer)
    }

    #[test]
    fn one_asks_for_all_who_wait() {
        let line = Line::default();
        let mut turn = comes(&line, 1).0.unwrap();
        let others = [2, 3].map(|id| comes(&line, id));
        assert!(others.iter().all(|(turn, _)| turn.is_none()));
        let asking: Vec<_> = turn.next().unwrap().into_iter().map(|(id, _)| id).collect();
        assert_eq!(asking, [1, 2, 3]);

        // Who comes while the query is under way was not asked for: the next query is for them.
        assert!(comes(&line, 2).0.is_none());
        assert_eq!(turn.next().unwrap().len(), 1);
        assert!(turn.next().is_none());
        assert!(comes(&line, 4).0.is_some());
    }

    #[test]
    fn where_too_many_wait_for_one_several_ask() {
        let line = Line::default();
        let all: Vec<_> = (0..1000).map(|id| comes(&line, id)).collect();
        let mut turns: Vec<_> = all.into_iter().filter_map(|(turn, _)| turn).collect();
        assert_eq!(turns.len(), AT_ONCE);
        assert!(
            turns
                .iter_mut()
                .all(|turn| turn.next().unwrap().len() == TOGETHER)
        );
    }

    #[test]
    fn nobody_waits_for_a_turn_that_was_cut_short() {
        let line = Line::default();
        let (turn, mut answer) = comes(&line, 1);
        drop(turn);
        assert!(matches!(
            answer.try_recv(),
            Err(oneshot::error::TryRecvError::Closed)
        ));
        assert!(comes(&line, 1).0.is_some());
    }
}
