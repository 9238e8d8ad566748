//! `signet user`

use std::io::{self, IsTerminal, Write};

use clap::Subcommand;
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

mod account;
mod list;

use self::{account::AccountArgs, list::List};
use super::{
    database::{self, Access, Destination},
    error::CliError,
    import::Import,
    output::print,
    password::Source,
};
use crate::{
    accounts::{
        ChangeError, Details, LARGEST_GIVEN_ID, NewUser, PasswordHash, Summary, User as Account,
        Users, email,
    },
    auth::{Audit, Clock},
    config::Settings,
    text::printable,
};

#[derive(Subcommand)]
pub(super) enum User {
    /// Add an account
    Add {
        /// The account's e-mail, in whatever case
        email: String,
        /// The account's id; by default the next free one
        #[arg(long, value_parser = given_id)]
        id: Option<i64>,
        #[command(flatten)]
        password: Source,
    },
    /// Bring in the accounts of a Django service
    Import(Import),
    /// List every account
    List(List),
    /// Show one account
    Show {
        #[command(flatten)]
        account: AccountArgs,
    },
    /// Set another password, which ends every token of the account
    Passwd {
        #[command(flatten)]
        account: AccountArgs,
        #[command(flatten)]
        password: Source,
    },
    /// Set another email, which ends every token of the account
    #[command(allow_missing_positional = true)]
    Email {
        #[command(flatten)]
        account: AccountArgs,
        /// The email to set
        new: String,
    },
    /// Let a disabled account obtain and refresh again
    Enable {
        #[command(flatten)]
        account: AccountArgs,
    },
    /// Let an account neither obtain nor refresh, until it is enabled
    Disable {
        #[command(flatten)]
        account: AccountArgs,
    },
    /// End every token of an account, or of all; passwords stay good
    #[command(mut_group("account", |group| group.required(false)))]
    Revoke {
        #[command(flatten)]
        account: Option<AccountArgs>,
        /// The tokens of every account
        #[arg(long, required_unless_present = "account", conflicts_with = "account")]
        all: bool,
    },
    /// Clear the failed logins of an account, or of a client address. Each login must pass both limits
    #[command(mut_group("account", |group| group.required(false)))]
    Unlock {
        #[command(flatten)]
        account: Option<AccountArgs>,
        /// Clear the failures of this address: an IP address, or `unix` for the clients of a Unix socket
        #[arg(long, value_parser = bucket, required_unless_present = "account")]
        address: Option<String>,
    },
    /// Delete an account; its id is never used again
    Delete {
        #[command(flatten)]
        account: AccountArgs,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

impl User {
    pub(super) async fn run(self, settings: &Settings) -> Result<(), CliError> {
        let users = match self {
            Self::Add {
                ref email,
                id,
                ref password,
            } => return add(settings, settings.audit(), email, id, password).await,
            Self::Import(Import { dry_run: true, .. }) => database::users_to_try(settings).await?,
            Self::Import(import) => {
                let (users, mut destination) = database::users_to_import(settings).await?;
                let done = import.run(&users, &mut destination, settings.audit()).await;
                // A new database that was not published is deleted after it is closed.
                users.close().await;
                return done;
            }
            Self::List(_) | Self::Show { .. } => {
                database::existing_users(settings, Access::Read).await?
            }
            _ => database::existing_users(settings, Access::Change).await?,
        };
        let done = self.act(&users, settings).await;
        users.close().await;
        done
    }

    async fn act(self, users: &Users, settings: &Settings) -> Result<(), CliError> {
        let clock = Clock::system();
        let now = || clock.now();
        let audit = settings.audit();
        match self {
            Self::Add { .. } => unreachable!("it opens its database itself"),
            Self::Import(import) => {
                import
                    .run(users, &mut Destination::default(), audit)
                    .await?;
            }
            Self::List(list) => list.run(users).await?,
            Self::Show { account } => {
                let account = account.find(users).await?;
                let throttle = settings.throttle();
                let failures = throttle.failures(users, now(), &account).await;
                show(&account, failures.map_err(CliError::database)?)?;
            }
            Self::Passwd { account, password } => {
                let account = account.find(users).await?;
                let password = password.hash(settings, &account.email).await?;
                let account = users
                    .set_password(account.id, password, now)
                    .await
                    .map_err(|error| failed(&account.email, &error))?;
                audit.changed("password_changed", &account);
                // A lockout is over once the owner has a new password.
                let throttle = settings.throttle();
                let cleared = throttle.clear_account(users, now(), &account).await;
                cleared.map_err(CliError::database)?;
                print(format!(
                    "set another password; every earlier token is ended: {}",
                    line(&account)
                ))?;
            }
            Self::Email { account, new } => set_email(users, audit, &account, &new).await?,
            Self::Enable { account } => set_active(users, audit, &account, true).await?,
            Self::Disable { account } => set_active(users, audit, &account, false).await?,
            Self::Revoke { account: None, .. } => {
                let accounts = users.revoke_all(now).await.map_err(CliError::database)?;
                audit.all_revoked(accounts);
                print(format!(
                    "every earlier token is ended, of {accounts} accounts"
                ))?;
            }
            Self::Revoke {
                account: Some(account),
                ..
            } => {
                let account = account.find(users).await?;
                users
                    .revoke(account.id, now)
                    .await
                    .map_err(|error| failed(&account.email, &error))?;
                audit.changed("tokens_revoked", &account);
                print(format!("every earlier token is ended: {}", line(&account)))?;
            }
            Self::Unlock { account, address } => {
                unlock(users, settings, audit, account.as_ref(), address).await?;
            }
            Self::Delete { account, yes } => {
                let account = account.find(users).await?;
                if !yes {
                    confirm(&account)?;
                }
                users
                    .delete(account.id)
                    .await
                    .map_err(|error| failed(&account.email, &error))?;
                audit.changed("account_deleted", &account);
                print(format!("deleted {}", line(&account)))?;
            }
        }
        Ok(())
    }
}

/// Parses the ID of a new account.
fn given_id(text: &str) -> Result<i64, String> {
    let id = text.parse().map_err(|error| format!("{error}"))?;
    if (1..=LARGEST_GIVEN_ID).contains(&id) {
        Ok(id)
    } else {
        Err(format!(
            "{id} is not in 1..={LARGEST_GIVEN_ID}: larger IDs are reserved for accounts without --id"
        ))
    }
}

/// Parses an address as the throttle counts it: an IP address, an IPv6 network as `user show` prints it, or `unix`.
fn bucket(text: &str) -> Result<String, String> {
    if text == "unix" {
        return Ok(crate::auth::ip_bucket(None));
    }
    let network = text.strip_suffix("/64").filter(|text| text.contains(':'));
    match network.unwrap_or(text).parse() {
        Ok(address) => Ok(crate::auth::ip_bucket(Some(address))),
        Err(_) => {
            Err("not an IP address, such as 192.0.2.1 or 2001:db8::1, and not `unix`".to_owned())
        }
    }
}

/// Adds an account. The database is created only when there is an account to write.
async fn add(
    settings: &Settings,
    audit: Audit,
    email: &str,
    id: Option<i64>,
    password: &Source,
) -> Result<(), CliError> {
    let email = valid(email)?;
    let hash = if database::missing(settings)?.is_some() {
        Some(password.hash(settings, &email).await?)
    } else {
        None
    };
    let users = database::users_to_fill(settings).await?;
    let added = insert(&users, settings, email, id, password, hash).await;
    users.close().await;
    let added = added?;
    audit.changed("account_added", &added);
    print(format!("added {}", line(&added)))
}

async fn insert(
    users: &Users,
    settings: &Settings,
    email: String,
    id: Option<i64>,
    password: &Source,
    hash: Option<PasswordHash>,
) -> Result<Account, CliError> {
    // Before the password is asked for: it would be asked for in vain.
    if users
        .by_email(&email)
        .await
        .map_err(CliError::database)?
        .is_some()
    {
        return Err(failed(&email, &ChangeError::EmailTaken));
    }
    let hash = match hash {
        Some(hash) => hash,
        None => password.hash(settings, &email).await?,
    };
    let account = NewUser {
        id,
        email: email.clone(),
        password: Some(hash),
    };
    let added = users.add(account, Clock::system().now()).await;
    added.map_err(|error| failed(&email, &error))
}

async fn set_email(
    users: &Users,
    audit: Audit,
    account: &AccountArgs,
    new: &str,
) -> Result<(), CliError> {
    let account = account.find(users).await?;
    let new = valid(new)?;
    let changed = users
        .set_email(account.id, new.clone(), || Clock::system().now())
        .await
        .map_err(|error| failed(&new, &error))?;
    let Some(changed) = changed else {
        return print(format!(
            "unchanged, the account has this email already: {}",
            line(&account)
        ));
    };
    audit.changed("email_changed", &changed);
    print(format!(
        "email changed; every earlier token is revoked: {}",
        line(&changed)
    ))
}

async fn set_active(
    users: &Users,
    audit: Audit,
    account: &AccountArgs,
    is_active: bool,
) -> Result<(), CliError> {
    let account = account.find(users).await?;
    let changed = users
        .set_active(account.id, is_active)
        .await
        .map_err(|error| failed(&account.email, &error))?;
    let state = if is_active { "enabled" } else { "disabled" };
    let Some(changed) = changed else {
        return print(format!(
            "unchanged, the account is {state} already: {}",
            line(&account)
        ));
    };
    audit.changed(&format!("account_{state}"), &changed);
    print(format!("{state} {}", line(&changed)))
}

async fn unlock(
    users: &Users,
    settings: &Settings,
    audit: Audit,
    account: Option<&AccountArgs>,
    address: Option<String>,
) -> Result<(), CliError> {
    let (throttle, now) = (settings.throttle(), Clock::system().now());
    if let Some(account) = account {
        let account = account.find(users).await?;
        let failures = throttle.clear_account(users, now, &account).await;
        let failures = failures.map_err(CliError::database)?;
        audit.changed("account_unlocked", &account);
        print(format!("cleared {failures} failures of {}", line(&account)))?;
    }
    if let Some(address) = address {
        let failures = throttle.clear_address(users, now, &address).await;
        let failures = failures.map_err(CliError::database)?;
        audit.address_unlocked(&address, failures);
        print(format!(
            "cleared {failures} failures of the address {address}"
        ))?;
    }
    Ok(())
}

fn valid(email: &str) -> Result<String, CliError> {
    let stripped = email::strip(email);
    if email::is_valid(stripped) {
        Ok(stripped.to_owned())
    } else {
        Err(CliError::usage(format!(
            "\"{email}\" is not an e-mail address: it could never log in"
        )))
    }
}

fn failed(email: &str, error: &ChangeError) -> CliError {
    format!("{email}: {error}").into()
}

fn confirm(account: &Account) -> Result<(), CliError> {
    if !io::stdin().is_terminal() {
        return Err("without a terminal to ask on, `delete` needs --yes".into());
    }
    eprint!(
        "Delete {}? Its id is never used again. [y/N] ",
        line(account)
    );
    let mut answer = String::new();
    let _ = io::stderr().flush();
    io::stdin()
        .read_line(&mut answer)
        .map_err(|error| format!("cannot read the answer: {error}"))?;
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        Ok(())
    } else {
        Err("nothing was deleted".into())
    }
}

fn line(account: impl Into<Summary>) -> String {
    let account = account.into();
    let state = match (account.is_active, account.usable_password) {
        (false, _) => "  (disabled)",
        (true, false) => "  (no usable password)",
        (true, true) => "",
    };
    format!("{}  {}{state}", account.id, printable(&account.email))
}

fn show(account: &Account, failures: u64) -> Result<(), CliError> {
    let Value::Object(fields) = as_json(account) else {
        return Ok(());
    };
    for (name, value) in fields {
        let value = value.as_str().map_or_else(|| value.to_string(), printable);
        print(format!("{name:20} {value}"))?;
    }
    print(format!("{:20} {failures}", "failures"))?;
    Ok(())
}

/// What may be seen of an account: not its hash.
fn as_json(account: impl Into<Details>) -> Value {
    let account = account.into();
    json!({
        "id": account.id,
        "email": account.email,
        "is_active": account.is_active,
        "usable_password": account.usable_password,
        "created": instant(account.created),
        "last_login": account.last_login.map(instant),
        "last_login_from": account.last_login_from,
        "password_changed": instant(account.password_changed),
        "tokens_valid_after": account.tokens_valid_after,
    })
}

fn instant(at: OffsetDateTime) -> Option<String> {
    at.format(&Rfc3339).ok()
}
