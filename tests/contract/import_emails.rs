//! Imports that move emails between accounts. Afterwards, the key of every account is its normalized email.

use std::{collections::HashMap, fmt::Write as _, fs};

use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use sea_orm::ConnectionTrait;
use serde_json::Value;
use signet::accounts::{self, AccountStore, Database, email};

use crate::{
    binary::{Home, stdout},
    store::LIMITS,
};

/// The records of an import, as pairs of ID and email.
type Records = Vec<(i64, String)>;

fn csv(records: &Records) -> String {
    let header = "id,email,password\n".to_owned();
    records.iter().fold(header, |mut csv, (id, email)| {
        let _ = writeln!(csv, "{id},{email},!");
        csv
    })
}

/// Imports the records and returns the JSON report.
fn import(home: &Home, records: &Records, flags: &[&str]) -> Value {
    fs::write(home.path().join("users.csv"), csv(records)).unwrap();
    let args = ["user", "import", "users.csv", "--json"];
    let output = home.run(&[&args, flags].concat());
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

fn update(home: &Home, records: &Records) -> Value {
    import(home, records, &["--update"])
}

fn records(list: &[(i64, &str)]) -> Records {
    let record = |(id, email): &(i64, &str)| (*id, format!("{email}@x.com"));
    list.iter().map(record).collect()
}

/// Returns the ID and email of every account. Panics if a key is not the normalized email.
async fn emails(db: &Database) -> Records {
    let accounts = AccountStore::new(db.clone(), LIMITS).all().await.unwrap();
    let account = |account: &accounts::Account| {
        let key = email::normalize(&account.email);
        assert_eq!(account.email_key, key, "the key of account {}", account.id);
        (account.id, account.email.clone())
    };
    accounts.iter().map(account).collect()
}

async fn open(home: &Home) -> Database {
    accounts::open(&home.database(), LIMITS).await.unwrap()
}

/// Imports `first`, updates with `second`, and compares the emails and the skipped IDs with the expected ones.
async fn assert_update(
    first: &[(i64, &str)],
    second: &[(i64, &str)],
    expected: &[(i64, &str)],
    skipped: &[(&str, &str)],
) {
    let home = Home::new();
    import(&home, &records(first), &[]);
    let report = update(&home, &records(second));
    let db = open(&home).await;
    assert_eq!(emails(&db).await, records(expected), "{second:?}");
    db.close().await.unwrap();
    let problems = report["problems"].as_array().unwrap();
    let problems: Vec<_> = problems
        .iter()
        .map(|it| (it["id"].as_str().unwrap(), it["reason"].as_str().unwrap()))
        .collect();
    assert_eq!(problems.len(), skipped.len(), "{problems:?}");
    for ((id, reason), (skipped, holder)) in problems.iter().zip(skipped) {
        let told = format!("account {holder} has the same email ");
        assert_eq!((id, reason.contains(&told)), (skipped, true), "{reason}");
    }
}

#[tokio::test]
async fn record_that_wants_a_swapped_email_is_skipped() {
    let abc = [(1, "a"), (2, "b"), (3, "c")];
    let second = [(1, "B"), (2, "c"), (3, "b")];
    let swapped = [(1, "a"), (2, "c"), (3, "b")];
    assert_update(&abc, &second, &swapped, &[("1", "3")]).await;

    let home = Home::new();
    import(&home, &records(&abc), &[]);
    update(&home, &records(&second));
    let list = stdout(&home.run(&["user", "list"]));
    assert_eq!(list.matches("c@x.com").count(), 1, "{list}");
    let shown = stdout(&home.run(&["user", "show", "b@x.com"]));
    assert!(shown.starts_with("id\t3\n"), "{shown}");
    // A repeated update changes no account and reports the same conflict.
    let again = update(&home, &records(&second));
    assert_eq!(
        (&again["updated"], &again["skipped"]),
        (&0.into(), &1.into())
    );
}

#[tokio::test]
async fn email_of_two_records_goes_to_the_first_record_in_the_file() {
    let first = [(1, "a"), (2, "b"), (3, "c")];
    for (second, expected, skipped) in [
        // An unused email.
        (
            &[(3, "x"), (2, "X"), (1, "x")][..],
            &[(1, "a"), (2, "b"), (3, "x")][..],
            &[("2", "3"), ("1", "3")][..],
        ),
        // The email of an account that gets another email later in the file.
        (
            &[(2, "a"), (1, "y"), (3, "a"), (9, "a")],
            &[(1, "y"), (2, "a"), (3, "c")],
            &[("3", "2"), ("9", "2")],
        ),
        // The email of an account whose own record is skipped.
        (
            &[(4, "b"), (2, "a"), (3, "b")],
            &[(1, "a"), (2, "b"), (3, "c")],
            &[("4", "2"), ("2", "1"), ("3", "2")],
        ),
        // The email of an account that keeps it.
        (
            &[(1, "b"), (9, "c"), (2, "B"), (3, "c")],
            &[(1, "a"), (2, "B"), (3, "c")],
            &[("1", "2"), ("9", "3")],
        ),
    ] {
        assert_update(&first, second, expected, skipped).await;
    }
}

/// The chain and the cycle are longer than a batch. Each record needs the email that the next record releases.
#[tokio::test]
async fn long_chain_and_long_cycle_of_emails_move_completely() {
    const MANY: i64 = 1200;
    let home = Home::new();
    let numbered = |email: &dyn Fn(i64) -> i64| -> Records {
        let record = |id| (id, format!("u{}@x.com", email(id)));
        (1..=MANY).map(record).collect()
    };
    import(&home, &numbered(&|id| id), &[]);
    let chain = numbered(&|id| id + 1);
    let cycle = numbered(&|id| id % MANY + 2);
    for wanted in [chain, cycle] {
        let report = update(&home, &wanted);
        assert_eq!(report["updated"], MANY, "{}", report["skipped"]);
        let db = open(&home).await;
        assert_eq!(emails(&db).await, wanted);
        db.close().await.unwrap();
    }
}

#[test]
fn every_key_matches_its_email_after_any_update() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let home = Home::new();
    stdout(&home.run(&["migrate"]));
    let db = runtime.block_on(open(&home));
    let config = Config {
        cases: 64,
        max_shrink_iters: 200,
        failure_persistence: None,
        ..Config::default()
    };
    TestRunner::new(config)
        .run(&case(), |(accounts, update_with)| {
            runtime
                .block_on(db.execute_unprepared("DELETE FROM users"))
                .unwrap();
            import(&home, &accounts, &[]);
            let expected = resolve(&accounts, &update_with);
            let skipped = update_with
                .iter()
                .filter(|record| !expected.contains(record))
                .count();
            for _ in 0..2 {
                let report = update(&home, &update_with);
                prop_assert_eq!(&report["skipped"], skipped);
                prop_assert_eq!(&runtime.block_on(emails(&db)), &expected);
            }
            Ok(())
        })
        .unwrap();
    runtime.block_on(db.close()).unwrap();
}

/// Generates two to six accounts, and records for most of these accounts and sometimes for a new account, in any order. The emails of the
/// records are permutations, cycles, chains and duplicates of the accounts' emails and of two unused emails, in upper or lower case.
fn case() -> impl Strategy<Value = (Records, Records)> {
    (2..=6_usize)
        .prop_flat_map(|count| {
            let pool: Vec<_> = (0..count + 2).collect();
            let wanted = prop_oneof![
                1 => Just(pool.clone()).prop_shuffle(),
                // A cycle of all accounts, or a chain that leads to the unused emails.
                1 => (count..=count + 2, 0..count).prop_map(move |(length, by)| {
                    let mut wanted = pool.clone();
                    wanted[..length].rotate_left(by);
                    wanted
                }),
                4 => prop::collection::vec(0..count + 2, count + 2),
            ];
            let ids: Vec<_> = (0..=count).collect();
            let ids = prop::sample::subsequence(ids, count - 1..=count + 1).prop_shuffle();
            let upper = prop::collection::vec(any::<bool>(), count + 2);
            (Just(count), wanted, ids, upper)
        })
        .prop_map(|(count, wanted, ids, upper)| {
            let name = |index: usize, upper: bool| {
                let first = if upper { b'A' } else { b'a' };
                let letter = char::from(first + u8::try_from(index).unwrap());
                format!("{letter}@x.com")
            };
            let id = |index: usize| i64::try_from(index).unwrap() + 1;
            let accounts = (0..count).map(|index| (id(index), name(index, false)));
            let records = ids
                .iter()
                .map(|index| (id(*index), name(wanted[*index], upper[*index])));
            (accounts.collect(), records.collect())
        })
}

/// Applies the documented rules. If several records want an email, the account that keeps the email wins, then accounts that exchange
/// emails in a cycle, then the first record in the file.
fn resolve(accounts: &Records, records: &Records) -> Records {
    let holders: HashMap<_, _> = accounts
        .iter()
        .map(|(id, email)| (email::normalize(email), *id))
        .collect();
    let wanted: HashMap<_, _> = records
        .iter()
        .map(|(id, email)| (*id, email::normalize(email)))
        .collect();
    let is_first = |id: i64, key: &String| {
        let wants_key = |(_, email): &&(i64, String)| email::normalize(email) == *key;
        records
            .iter()
            .find(wants_key)
            .is_some_and(|(first, _)| *first == id)
    };
    let is_accepted = |id: i64| {
        let (mut last, mut path, mut all_first) = (id, vec![], true);
        loop {
            // An account without a record keeps its email.
            let Some(key) = wanted.get(&last) else {
                return false;
            };
            all_first &= is_first(last, key);
            path.push(last);
            match holders.get(key) {
                None => return all_first,
                Some(holder) if *holder == id => return true,
                // The path leads to an account that keeps its email, or to a cycle without this account.
                Some(holder) if path.contains(holder) => return false,
                Some(holder) => last = *holder,
            }
        }
    };
    let mut emails: HashMap<_, _> = accounts.iter().cloned().collect();
    for (id, email) in records {
        if is_accepted(*id) {
            emails.insert(*id, email.clone());
        }
    }
    let mut emails: Records = emails.into_iter().collect();
    emails.sort_unstable();
    emails
}
