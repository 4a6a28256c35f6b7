//! Where the values of options come from.

use clap::ArgMatches;
use clap::parser::ValueSource;

/// Where the values of options come from: what was typed counts more than what is set for all, and an
/// error names the one or the other. Options go by the names of their fields.
pub(crate) struct Origins(Vec<(String, ValueSource)>);

impl Origins {
    /// Whether it stands on the command line.
    pub(crate) fn was_typed(&self, option: &str) -> bool {
        self.is_from(ValueSource::CommandLine, option)
    }

    /// Whether a variable of the environment gave it.
    pub(crate) fn is_from_environment(&self, option: &str) -> bool {
        self.is_from(ValueSource::EnvVariable, option)
    }

    fn is_from(&self, source: ValueSource, option: &str) -> bool {
        self.0.iter().any(|(id, from)| id == option && *from == source)
    }

    /// Of each option that has a value, of `otr` and of its command.
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
