//! Files of one attempt: its learning curve, its left result, and what a later attempt resumes from.

pub(crate) mod curve_csv;
pub(crate) mod curve_row;
pub(crate) mod curve_writer;
pub(crate) mod result_file;
pub(crate) mod resume;
