//! The origins of option values.

use clap::ArgMatches;
use clap::parser::ValueSource;

/// The origins of option values: what was typed takes precedence over what the environment sets,
/// and an error names the right one. Options are identified by the names of their fields.
#[derive(Clone)]
pub(crate) struct Origins(Vec<(String, ValueSource)>);

impl Origins {
    /// Whether the option is on the command line.
    pub(crate) fn was_typed(&self, option: &str) -> bool {
        self.is_from(ValueSource::CommandLine, option)
    }

    /// Whether an environment variable supplied it.
    pub(crate) fn is_from_environment(&self, option: &str) -> bool {
        self.is_from(ValueSource::EnvVariable, option)
    }

    fn is_from(&self, source: ValueSource, option: &str) -> bool {
        self.0.iter().any(|(id, from)| id == option && *from == source)
    }

    /// The origin of each option that has a value, of `otr` and of its command.
    pub(crate) fn of(matches: &ArgMatches) -> Self {
        let of_command = matches.subcommand().map(|(_, matches)| matches);
        let mut sources = Vec::new();
        for matches in [matches].into_iter().chain(of_command) {
            for id in matches.ids() {
                let source = matches.value_source(id.as_str());
                sources.extend(source.map(|source| (id.as_str().to_owned(), source)));
            }
        }
        Self(sources)
    }
}
