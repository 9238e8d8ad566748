//! Accounts from elsewhere, all in one transaction: they keep their ids, and no token is ended.

use std::collections::{BTreeMap, HashMap};

use sea_orm::{
    ActiveModelTrait,
    ActiveValue::{Set, Unchanged},
    ColumnTrait, DatabaseTransaction, DbErr, EntityTrait, QueryFilter, QuerySelect,
    sea_query::{Expr, ExprTrait as _},
};
use time::OffsetDateTime;

use super::{
    User, Users, email,
    entity::{ActiveModel, Column, Entity, PasswordHash, retired},
};

/// An account that comes from elsewhere.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// Its id there, and here.
    pub id: i64,
    /// The e-mail as it was stored there.
    pub email: String,
    /// The hash of its password, or none if it cannot log in.
    pub password: Option<PasswordHash>,
    /// Digest of what stands there for its password, whatever that is.
    pub password_digest: String,
    /// Why its password cannot come in. An account that is here already keeps its own.
    pub without_password: Option<String>,
    /// Whether it may log in.
    pub is_active: bool,
    /// When it was added there, if that is known.
    pub created: Option<OffsetDateTime>,
    /// When it last logged in there.
    pub last_login: Option<OffsetDateTime>,
}

/// What became of an arrival.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is an account now.
    Added,
    /// The account that was there has been brought up to date.
    Updated,
    /// The account that was there has been left as it was.
    Unchanged,
    /// It cannot be an account.
    Refused(Collision),
}

/// What an arrival ran into.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Collision {
    /// An earlier arrival has the same id.
    #[error("its id stands there twice")]
    Repeated,
    /// Another account has its id.
    #[error("its id is that of {0}")]
    Id(String),
    /// Another account has its e-mail, perhaps in other case.
    #[error("its e-mail is that of account {0} (upper and lower case do not count)")]
    Email(i64),
    /// Its password cannot come in.
    #[error("{0}")]
    Password(String),
    /// A deleted account had its id.
    #[error("its id belonged to an account that was deleted: ids are never used again")]
    Retired,
}

/// An import under way. Unless it is committed, nothing of it stays.
#[derive(Debug)]
pub struct Import {
    transaction: DatabaseTransaction,
    update: bool,
    now: OffsetDateTime,
    seen: Seen,
    /// The keys of emails that skipped records want, with the account of the first such record.
    claims: HashMap<String, i64>,
}

impl Users {
    /// Begins to import; accounts that are there are brought up to date only to `update`.
    ///
    /// # Errors
    /// When the database does not answer, or another process writes to it for too long.
    pub async fn import(&self, update: bool, now: OffsetDateTime) -> Result<Import, DbErr> {
        Ok(Import {
            transaction: self.begin_to_write().await?,
            update,
            now,
            seen: Seen::default(),
            claims: HashMap::new(),
        })
    }
}

impl Import {
    /// Accounts per query.
    pub const BATCH: usize = 500;

    /// Takes some accounts in, and gives them back in order, with what became of each.
    ///
    /// # Errors
    /// When the database does not answer. The import is over then.
    pub async fn take(&mut self, arrivals: Vec<Arrival>) -> Result<Vec<(Arrival, Fate)>, DbErr> {
        let mut arrivals = arrivals;
        let is_new: Vec<_> = arrivals
            .iter_mut()
            .map(|arrival| {
                // A login to come would move every cut of the account beyond it.
                arrival.last_login = arrival.last_login.filter(|at| *at <= self.now);
                self.seen.insert(arrival.id)
            })
            .collect();
        let (new, repeated): (Vec<_>, Vec<_>) = arrivals
            .into_iter()
            .zip(&is_new)
            .partition(|(_, is_new)| **is_new);
        let new = new.into_iter().map(|(arrival, _)| arrival).collect();
        let mut new = self.write(new).await?.into_iter();
        let mut repeated = repeated
            .into_iter()
            .map(|(arrival, _)| (arrival, Fate::Refused(Collision::Repeated)));
        // As they came.
        let next = |is_new: &bool| if *is_new { new.next() } else { repeated.next() };
        Ok(is_new.iter().filter_map(next).collect())
    }

    /// Imports records whose email was in use before. If several records want the same email, the first record gets
    /// the email.
    ///
    /// # Errors
    /// When the database does not answer. The import is over then.
    pub async fn take_again(
        &mut self,
        arrivals: Vec<Arrival>,
    ) -> Result<Vec<(Arrival, Fate)>, DbErr> {
        self.claims.clear();
        let mut arrivals = arrivals.into_iter();
        let mut fates = Vec::with_capacity(arrivals.len());
        while arrivals.len() > 0 {
            let batch = arrivals.by_ref().take(Self::BATCH).collect();
            fates.extend(self.write(batch).await?);
        }
        Ok(fates)
    }

    /// Imports records of accounts that exchange their emails in cycles.
    ///
    /// # Errors
    /// When the database does not answer, or when an account does not get its email, so that its temporary key would
    /// stay. The import must be dropped then.
    pub async fn exchange(
        &mut self,
        arrivals: Vec<Arrival>,
    ) -> Result<Vec<(Arrival, Fate)>, DbErr> {
        for Arrival { id, .. } in &arrivals {
            let free = Entity::update_many()
                // A key has no upper case, so that no email has this one.
                .col_expr(Column::EmailKey, Expr::value(format!("EXCHANGED {id}")))
                .filter(Column::Id.eq(*id));
            free.exec(&self.transaction).await?;
        }
        let fates = self.take_again(arrivals).await?;
        match fates.iter().find(|(_, fate)| *fate != Fate::Updated) {
            None => Ok(fates),
            Some((arrival, fate)) => Err(DbErr::Custom(format!(
                "account {} did not get its email in an exchange: {fate:?}",
                arrival.id
            ))),
        }
    }

    async fn write(&mut self, arrivals: Vec<Arrival>) -> Result<Vec<(Arrival, Fate)>, DbErr> {
        let mut known = self.known(&arrivals).await?;
        let mut fates = Vec::with_capacity(arrivals.len());
        let mut new = Vec::new();
        for arrival in arrivals {
            let fate = known.fate(&arrival, self.update, &self.claims);
            if let Fate::Refused(Collision::Email(_)) = fate {
                let key = email::key(&arrival.email);
                self.claims.entry(key).or_insert(arrival.id);
            }
            match (&fate, known.by_id.get(&arrival.id)) {
                (Fate::Added, _) => {
                    let account = self.account(&arrival);
                    known.add(account.clone());
                    new.push(ActiveModel::from(account).reset_all());
                }
                (Fate::Updated, Some(account)) => {
                    let account = self.update(account, &arrival).await?;
                    known.add(account);
                }
                _ => {}
            }
            fates.push((arrival, fate));
        }
        if !new.is_empty() {
            Entity::insert_many(new)
                .exec_without_returning(&self.transaction)
                .await?;
        }
        Ok(fates)
    }

    /// Keeps all of it.
    ///
    /// # Errors
    /// When the database does not answer: nothing is kept then.
    pub async fn commit(self) -> Result<(), DbErr> {
        self.transaction.commit().await
    }

    /// Keeps nothing.
    ///
    /// # Errors
    /// When the database does not answer: nothing is kept then, either.
    pub async fn roll_back(self) -> Result<(), DbErr> {
        self.transaction.rollback().await
    }

    /// What is there that these may run into.
    async fn known(&self, arrivals: &[Arrival]) -> Result<Known, DbErr> {
        let ids = || arrivals.iter().map(|arrival| arrival.id);
        let keys = arrivals.iter().map(|arrival| email::key(&arrival.email));
        let accounts = Entity::find()
            .filter(Column::Id.is_in(ids()).or(Column::EmailKey.is_in(keys)))
            .all(&self.transaction)
            .await?;
        let retired = retired::Entity::find()
            .select_only()
            .column(retired::Column::Id)
            .filter(retired::Column::Id.is_in(ids()))
            .into_tuple()
            .all(&self.transaction)
            .await?;
        let mut known = Known {
            retired,
            ..Known::default()
        };
        for account in accounts {
            known.add(account);
        }
        Ok(known)
    }

    fn account(&self, arrival: &Arrival) -> User {
        User {
            id: arrival.id,
            email: arrival.email.clone(),
            email_key: email::key(&arrival.email),
            password: arrival.password.clone(),
            is_active: arrival.is_active,
            created: arrival.created.unwrap_or(self.now),
            last_login: arrival.last_login,
            password_changed: self.now,
            imported_password: Some(arrival.password_digest.clone()),
            last_login_from: None,
            tokens_valid_after: 0,
        }
    }

    /// Writes what has changed there, and nothing else: logins go on meanwhile.
    async fn update(&self, account: &User, arrival: &Arrival) -> Result<User, DbErr> {
        let mut change = ActiveModel {
            id: Unchanged(account.id),
            email: Set(arrival.email.clone()),
            email_key: Set(email::key(&arrival.email)),
            is_active: Set(arrival.is_active),
            ..<ActiveModel as ActiveModelTrait>::default()
        };
        // One that is as it was there is left as it is here: rehashed by a login, or set by an operator.
        if !keeps_password(account, arrival) {
            change.password = Set(arrival.password.clone());
            change.imported_password = Set(Some(arrival.password_digest.clone()));
            change.password_changed = Set(self.now);
        }
        if let Some(created) = arrival.created {
            change.created = Set(created);
        }
        if arrival.last_login > account.last_login {
            change.last_login = Set(arrival.last_login);
        }
        change.update(&self.transaction).await
    }
}

/// The ids that have arrived, as ranges: those of a dump mostly follow each other.
#[derive(Debug, Default)]
struct Seen(BTreeMap<i64, i64>);

impl Seen {
    /// Whether it is new.
    fn insert(&mut self, id: i64) -> bool {
        let before = self
            .0
            .range(..=id)
            .next_back()
            .map(|(first, last)| (*first, *last));
        if before.is_some_and(|(_, last)| id <= last) {
            return false;
        }
        let first = before
            .filter(|(_, last)| *last == id - 1)
            .map_or(id, |(first, _)| first);
        let last = self.0.remove(&(id + 1)).unwrap_or(id);
        self.0.insert(first, last);
        true
    }
}

/// What is there: accounts, those of this import among them, and the ids that may not come back.
#[derive(Default)]
struct Known {
    by_id: HashMap<i64, User>,
    by_key: HashMap<String, i64>,
    retired: Vec<i64>,
}

impl Known {
    fn add(&mut self, account: User) {
        if let Some(before) = self.by_id.get(&account.id) {
            self.by_key.remove(&before.email_key);
        }
        self.by_key.insert(account.email_key.clone(), account.id);
        self.by_id.insert(account.id, account);
    }

    fn fate(&self, arrival: &Arrival, update: bool, claims: &HashMap<String, i64>) -> Fate {
        let key = email::key(&arrival.email);
        // If earlier records want the email, and the account that had it has changed, the first of them gets the email.
        let holder = self.by_key.get(&key).or_else(|| claims.get(&key));
        match (self.by_id.get(&arrival.id), holder) {
            (_, Some(id)) if *id != arrival.id => Fate::Refused(Collision::Email(*id)),
            (Some(account), _) if update => {
                if is_current(account, arrival) {
                    Fate::Unchanged
                } else {
                    Fate::Updated
                }
            }
            (Some(account), _) if account.email_key == key => Fate::Unchanged,
            (Some(account), _) => Fate::Refused(Collision::Id(account.email.clone())),
            (None, _) if self.retired.contains(&arrival.id) => Fate::Refused(Collision::Retired),
            (None, _) => match &arrival.without_password {
                Some(why) => Fate::Refused(Collision::Password(why.clone())),
                None => Fate::Added,
            },
        }
    }
}

/// Whether the account came in with the password that the arrival has, or the arrival brings none.
fn keeps_password(account: &User, arrival: &Arrival) -> bool {
    arrival.without_password.is_some()
        || account.imported_password.as_ref() == Some(&arrival.password_digest)
}

fn is_current(account: &User, arrival: &Arrival) -> bool {
    account.email == arrival.email
        && keeps_password(account, arrival)
        && account.is_active == arrival.is_active
        && arrival
            .created
            .is_none_or(|created| created == account.created)
        && arrival.last_login <= account.last_login
}

#[cfg(test)]
mod tests {
    use super::Seen;

    #[test]
    fn an_id_is_new_once() {
        let mut seen = Seen::default();
        for id in [5, 3, 4, 9, 1, 7, 8, 2, 6] {
            assert!(seen.insert(id), "{id}");
            assert!(!seen.insert(id), "{id}");
        }
        assert_eq!(seen.0.into_iter().collect::<Vec<_>>(), [(1, 9)]);
    }
}
