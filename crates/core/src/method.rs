//! The method table: what each method is to us, as data.
//!
//! Sources: execution-apis (`src/eth`, `src/debug`), and those of nodes, named in `clients` and `chains`. A method
//! that is not in the table is passed on as it is and repeated only where no node can have
//! executed it.
//!
//! In reading order: `treatment`; [`block`], which block a call speaks of; [`retention`], what is kept of
//! answers; `row`, how a row is written; `table`, `clients` and `chains`, all of them; `rules`, the table by
//! name and as the operator changed it, and `limits`, what holds for single methods.

pub mod block;
mod chains;
mod clients;
mod limits;
pub mod retention;
mod row;
mod rules;
mod table;
mod treatment;

pub use self::limits::{LimitsByMethod, MethodLimits};
pub use self::row::Method;
pub use self::rules::{MethodIndex, MethodRules, find, is_listed, listed, row_of};
pub use self::table::TABLE;
pub use self::treatment::{CallTimeouts, LocalMethod, RepeatRule, Treatment};
