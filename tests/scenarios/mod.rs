//! What the product promises, a promise a test. Each scenario has its own gateway, upstream and database.

mod bytes;
mod dialects;
mod embedders;
mod errors;
mod evidence;
mod golden;
mod golden_pairs;
mod providers;
mod speakers;
mod tool_calls;
mod transport;

mod audit;
mod caller_limits;
mod callers;
mod cost;
mod counting;
mod judging;
mod reload;
mod replay;
mod routing;
mod rules;
mod screening;
mod tokens;
mod usage;
mod verdicts;

mod absence;
mod failover;
mod leaving;
mod limits;
mod time_limits;

mod records;

mod durability;
mod managed;

mod faults;
mod hostile_clients;
mod hostile_upstreams;

mod command_line;
mod demo;
mod health;
mod local;
mod observation;
mod sdk;

mod proof;
