//! The tables of one chain, among those of all.

use rusqlite::{Connection, Params, Statement};

use forebay_core::vocabulary::chain::ChainName;

/// The rows of one chain in a file: those of the default one in the tables that there always were, those
/// of another beside them. Statements are written once for both, with these marks: `{nodes}` and
/// `{history}` the tables, `{here}` what a row of the chain fulfils, `{chain}` and `{name}` what stands
/// first in a row that is inserted.
#[derive(Clone, Copy)]
pub(crate) struct ChainTables<'c> {
    connection: &'c Connection,
    /// `None`: the default one.
    chain: Option<&'c ChainName>,
}

impl<'c> ChainTables<'c> {
    pub(crate) fn new(connection: &'c Connection, chain: Option<&'c ChainName>) -> ChainTables<'c> {
        ChainTables { connection, chain }
    }

    fn sql(self, statement: &str) -> String {
        let (prefix, here, column, name) = match self.chain {
            None => ("", "TRUE".to_string(), "", String::new()),
            // A name has no quotes.
            Some(chain) => (
                "chain_",
                format!("chain = '{chain}'"),
                "chain, ",
                format!("'{chain}', "),
            ),
        };
        statement
            .replace("{nodes}", &format!("{prefix}nodes"))
            .replace("{history}", &format!("{prefix}history"))
            .replace("{here}", &here)
            .replace("{chain}", column)
            .replace("{name}", &name)
    }

    pub(crate) fn execute(self, statement: &str, values: impl Params) -> rusqlite::Result<usize> {
        self.connection.execute(&self.sql(statement), values)
    }

    pub(crate) fn prepare(self, statement: &str) -> rusqlite::Result<Statement<'c>> {
        self.connection.prepare(&self.sql(statement))
    }

    pub(crate) fn holds(self, question: &str) -> rusqlite::Result<bool> {
        let question = self.sql(question);
        self.connection.query_row(&question, [], |row| row.get(0))
    }
}
