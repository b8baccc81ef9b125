//! The log read and appended to, cut, damaged and shared.

mod appending;
mod reading;
