"""The seven stages: pure functions, frames in and frames out. No stage imports another."""
