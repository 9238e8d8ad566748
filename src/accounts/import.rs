//! Imports accounts of another service in one transaction. Accounts keep their IDs, and tokens of that service stay
//! valid until an update changes the password or the email.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
};

use sea_orm::{
    ActiveModelTrait,
    ActiveValue::{Set, Unchanged},
    ColumnTrait, DatabaseTransaction, DbErr, EntityTrait, QueryFilter, QuerySelect,
    sea_query::{Expr, ExprTrait as _},
};
use time::OffsetDateTime;

use super::{
    User, Users,
    cut::cut,
    email,
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

/// The fields that an update overwrites although they were changed here.
#[derive(Clone, Copy, Debug, Default)]
pub struct Force {
    /// The email.
    pub email: bool,
    /// Whether the account is active.
    pub is_active: bool,
}

/// A field that was changed here since the last import, and that an update does not overwrite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LocalChange {
    /// The email here, and the email in the source.
    Email(String, String),
    /// Whether the account is active here. In the source it is the opposite.
    IsActive(bool),
}

impl fmt::Display for LocalChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Email(here, source) => {
                write!(f, "email is \"{here}\" here, \"{source}\" in the source")
            }
            Self::IsActive(here) => write!(f, "is_active is {here} here, {} in the source", !here),
        }
    }
}

/// The effects of an update on an account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// The fields that keep the values that they were given here.
    pub preserved: Vec<LocalChange>,
    /// Whether the tokens of the account are revoked.
    pub revoked: bool,
}

/// What became of an arrival.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is an account now.
    Added,
    /// The account that was there has been brought up to date.
    Updated(Effects),
    /// The account that was there has been left as it was.
    Unchanged(Effects),
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

/// Returns the current instant.
type Now<'a> = &'a (dyn Fn() -> OffsetDateTime + Sync);

/// An import under way. Unless it is committed, nothing of it stays.
pub struct Import<'a> {
    transaction: DatabaseTransaction,
    update: Option<Force>,
    clock: Now<'a>,
    /// The start of the import.
    now: OffsetDateTime,
    seen: Seen,
    /// The keys of emails that skipped records want, with the account of the first such record.
    claims: HashMap<String, i64>,
}

impl Users {
    /// Begins to import. Existing accounts are changed only by an `update`.
    ///
    /// # Errors
    /// When the database does not answer, or another process writes to it for too long.
    pub async fn import<'a>(
        &self,
        update: Option<Force>,
        clock: Now<'a>,
    ) -> Result<Import<'a>, DbErr> {
        Ok(Import {
            transaction: self.begin_to_write().await?,
            update,
            clock,
            now: clock(),
            seen: Seen::default(),
            claims: HashMap::new(),
        })
    }
}

impl Import<'_> {
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
        match fates
            .iter()
            .find(|(_, fate)| !matches!(fate, Fate::Updated(_)))
        {
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
            let fate = match known.collision(&arrival, self.update, &self.claims) {
                Some(collision) => {
                    if let Collision::Email(_) = collision {
                        let key = email::key(&arrival.email);
                        self.claims.entry(key).or_insert(arrival.id);
                    }
                    Fate::Refused(collision)
                }
                None => match (known.by_id.get(&arrival.id), self.update) {
                    (None, _) => {
                        let account = self.account(&arrival);
                        known.add(account.clone());
                        new.push(ActiveModel::from(account).reset_all());
                        Fate::Added
                    }
                    (Some(_), None) => Fate::Unchanged(Effects::default()),
                    (Some(account), Some(force)) => {
                        let (account, fate) = self.update(account, &arrival, force).await?;
                        if let Some(account) = account {
                            known.add(account);
                        }
                        fate
                    }
                },
            };
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
            imported_email: Some(arrival.email.clone()),
            imported_is_active: Some(arrival.is_active),
            last_login_from: None,
            tokens_valid_after: 0,
        }
    }

    /// Updates the account, and returns it if anything was written.
    async fn update(
        &self,
        account: &User,
        arrival: &Arrival,
        force: Force,
    ) -> Result<(Option<User>, Fate), DbErr> {
        let change = Change::new(account, arrival, force, self.now);
        if !change.account.is_changed() {
            return Ok((None, change.fate()));
        }
        // A login may have changed the row since it was read. Logins wait for this lock, and then fail if the account was
        // changed, so that the cutoff is after every token that was issued.
        let account = Entity::find_by_id(account.id)
            .lock_exclusive()
            .one(&self.transaction)
            .await?
            .ok_or(DbErr::RecordNotUpdated)?;
        let change = Change::new(&account, arrival, force, (self.clock)());
        let fate = change.fate();
        let account = if change.account.is_changed() {
            change.account.update(&self.transaction).await?
        } else {
            account
        };
        Ok((Some(account), fate))
    }
}

/// The differences that an update writes.
struct Change {
    account: ActiveModel,
    /// Whether a field changes that does not only remember the import.
    is_update: bool,
    effects: Effects,
}

impl Change {
    fn new(account: &User, arrival: &Arrival, force: Force, now: OffsetDateTime) -> Self {
        let mut change = ActiveModel {
            id: Unchanged(account.id),
            ..<ActiveModel as ActiveModelTrait>::default()
        };
        let mut is_update = false;
        let mut effects = Effects::default();
        if arrival.email == account.email || !keeps_email(account, force) {
            if arrival.email != account.email {
                change.email = Set(arrival.email.clone());
                change.email_key = Set(email::key(&arrival.email));
                effects.revoked = true;
            }
            if account.imported_email.as_ref() != Some(&arrival.email) {
                change.imported_email = Set(Some(arrival.email.clone()));
            }
        } else {
            let (here, source) = (account.email.clone(), arrival.email.clone());
            effects.preserved.push(LocalChange::Email(here, source));
        }
        // An account that was never imported was disabled here, if it is disabled.
        let is_local = !force.is_active
            && account
                .imported_is_active
                .map_or(!account.is_active, |imported| imported != account.is_active);
        if arrival.is_active == account.is_active || !is_local {
            if arrival.is_active != account.is_active {
                change.is_active = Set(arrival.is_active);
                is_update = true;
            }
            if account.imported_is_active != Some(arrival.is_active) {
                change.imported_is_active = Set(Some(arrival.is_active));
            }
        } else {
            let preserved = LocalChange::IsActive(account.is_active);
            effects.preserved.push(preserved);
        }
        // A hash that the source did not change stays: a login has replaced it here, or an operator.
        if arrival.without_password.is_none()
            && account.imported_password.as_ref() != Some(&arrival.password_digest)
        {
            change.imported_password = Set(Some(arrival.password_digest.clone()));
            if account.password != arrival.password {
                change.password = Set(arrival.password.clone());
                change.password_changed = Set(now);
                effects.revoked = true;
            }
        }
        if let Some(created) = arrival.created.filter(|at| *at != account.created) {
            change.created = Set(created);
            is_update = true;
        }
        if arrival.last_login > account.last_login {
            change.last_login = Set(arrival.last_login);
            is_update = true;
        }
        if effects.revoked {
            change.tokens_valid_after = Set(cut(account, now));
        }
        Self {
            account: change,
            is_update: is_update || effects.revoked,
            effects,
        }
    }

    fn fate(&self) -> Fate {
        let effects = self.effects.clone();
        if self.is_update {
            Fate::Updated(effects)
        } else {
            Fate::Unchanged(effects)
        }
    }
}

/// Whether an update keeps the email: it was changed here since the last import.
fn keeps_email(account: &User, force: Force) -> bool {
    let imported = account.imported_email.as_ref();
    !force.email && imported.is_some_and(|imported| *imported != account.email)
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

    /// The reason why the record cannot be imported.
    fn collision(
        &self,
        arrival: &Arrival,
        update: Option<Force>,
        claims: &HashMap<String, i64>,
    ) -> Option<Collision> {
        let account = self.by_id.get(&arrival.id);
        let keeps_email = account
            .zip(update)
            .is_some_and(|(account, force)| keeps_email(account, force));
        let key = email::key(&arrival.email);
        // If earlier records want the email, and the account that had it has changed, the first of them gets the email.
        let holder = self.by_key.get(&key).or_else(|| claims.get(&key));
        match (account, holder) {
            (_, Some(id)) if *id != arrival.id && !keeps_email => Some(Collision::Email(*id)),
            (Some(account), _) if update.is_none() && account.email_key != key => {
                Some(Collision::Id(account.email.clone()))
            }
            (Some(_), _) => None,
            (None, _) if self.retired.contains(&arrival.id) => Some(Collision::Retired),
            (None, _) => arrival.without_password.clone().map(Collision::Password),
        }
    }
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
