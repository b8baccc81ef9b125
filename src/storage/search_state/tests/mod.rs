//! The rules, checked: by hand, over random schedules, and over every interleaving of a small one.

mod examples;
mod interleavings;
mod schedules;
mod world;
