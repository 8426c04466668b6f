//! All nodes together: which are fit, what is the reference, which head is served, which node gets a call.
//!
//! One writer holds the [`Fleet`] and tells it what it sees; calls read [`FleetView`]s, which
//! never change, and write down what they meet in what a view shares: loads, limits, lacks.
//!
//! In reading order:
//! - what the fleet is told and tells: [`report`], [`probe_failure`], `reason`
//! - how one node stands: [`standing`], `standstill`, `syncing`, [`staleness`], and all that is known
//!   of it in `node_state`
//! - how far back it goes: [`depth`], [`history`], `promises`
//! - what its calls teach: [`load`], [`conduct`], [`overload`], [`attempt_report`], `limiter`,
//!   `unsupported`, [`node_limits`]
//! - the chain: [`reference`], `block_time`, `block_schedule`, `served_head`, [`head_floor`],
//!   `quorum_head`, [`branch`], `forks`
//! - all of that, round by round: [`tracker`]
//! - what calls see: [`node_view`], [`view`], and [`client_floors`] beyond it
//! - which node gets a call: [`requirements`], `sampler`, [`select`], [`spread`], [`wait_queue`]
//! - what follows for the operator and the next round: [`degradation`], [`failure_rate`],
//!   [`awaited_blocks`]

pub mod attempt_report;
pub mod awaited_blocks;
mod block_schedule;
mod block_time;
pub mod branch;
pub mod client_floors;
pub mod conduct;
pub mod degradation;
pub mod depth;
pub mod failure_rate;
mod forks;
pub mod head_floor;
mod head_history;
pub mod history;
mod limiter;
pub mod load;
pub mod node_limits;
mod node_state;
pub mod node_view;
pub mod overload;
pub mod probe_failure;
mod promises;
mod quorum_head;
mod reason;
pub mod reference;
pub mod report;
pub mod requirements;
mod sampler;
pub mod select;
mod served_head;
pub mod spread;
pub mod staleness;
pub mod standing;
mod standstill;
mod syncing;
pub mod tracker;
mod unsupported;
pub mod view;
pub mod wait_queue;

pub use self::node_view::NodeView;
pub use self::report::{FleetChange, FleetMember, HealthCriteria, ProbeDetails, ProbeOutcome};
pub use self::tracker::Fleet;
pub use self::view::FleetView;
