//! The flags of settings.

use std::collections::BTreeMap;

use clap::{Arg, ArgMatches, ValueHint, builder::PossibleValuesParser};

use crate::config::{CONFIG, DEFAULT_FILE, Setting, settings};

/// The settings whose flags every command has.
const GLOBAL_FLAGS: [&str; 2] = ["database_url", "log"];

/// Returns the settings that have a flag.
fn settings_with_flag() -> impl Iterator<Item = Setting> {
    settings().into_iter().filter(|setting| !setting.is_secret)
}

/// Adds the flags of settings to the commands. `serve`, `config show` and `config check` have a flag for every setting that is not secret.
pub(super) fn add(command: clap::Command) -> clap::Command {
    let file = Arg::new(CONFIG)
        .long(CONFIG)
        .value_name("PATH")
        .value_hint(ValueHint::FilePath)
        .help(format!(
            "Configuration file in TOML [env: SIGNET_CONFIG] [default: {DEFAULT_FILE}, if it exists]"
        ))
        .help_heading("Global options")
        .global(true);
    let (global, others): (Vec<_>, Vec<_>) =
        settings_with_flag().partition(|setting| GLOBAL_FLAGS.contains(&setting.name.as_str()));
    let global = global
        .iter()
        .map(|setting| flag(setting).help_heading("Global options").global(true));
    let flags = || others.iter().map(flag);
    command
        .arg(file)
        .args(global)
        .mut_subcommand("serve", |serve| serve.args(flags()))
        .mut_subcommand("config", |config| {
            config.mut_subcommands(|command| match command.get_name() {
                "show" | "check" => command.args(flags()),
                _ => command,
            })
        })
}

/// Returns the flag of a setting.
fn flag(setting: &Setting) -> Arg {
    let default = setting.default.as_ref();
    let default = default.map(|default| format!(" [default: {default}]"));
    let hint = match setting.value_name.as_str() {
        "PATH" => ValueHint::FilePath,
        _ => ValueHint::Other,
    };
    let flag = Arg::new(setting.name.clone())
        .long(setting.flag())
        .value_name(setting.value_name.clone())
        .value_hint(hint)
        .help(format!(
            "{} [env: {}]{}",
            setting.description,
            setting.variable(),
            default.unwrap_or_default()
        ))
        .help_heading(setting.group.clone());
    if setting.values.is_empty() {
        return flag;
    }
    flag.value_parser(PossibleValuesParser::new(setting.values.clone()))
        .hide_possible_values(true)
}

/// Returns the value of a flag, which may be before or after the name of the command.
pub(super) fn value(matches: &ArgMatches, name: &str) -> Option<String> {
    let below = matches.subcommand();
    below
        .and_then(|(_, matches)| value(matches, name))
        .or_else(|| matches.try_get_one(name).ok().flatten().cloned())
}

/// Returns the values of all flags by the names of their settings.
pub(super) fn values(matches: &ArgMatches) -> BTreeMap<String, String> {
    let names = settings_with_flag().map(|setting| setting.name);
    names
        .chain([CONFIG.to_owned()])
        .filter_map(|name| {
            let value = value(matches, &name)?;
            Some((name, value))
        })
        .collect()
}
