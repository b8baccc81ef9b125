//! One binary of tests: each runs the program `metaqnn` on an experiment of its own.

mod append_fails; // of a result, at any step; and a process killed at any call
mod audits; // of verdicts to stop, and the ledger
mod benchmark; // strategies compared in simulated time
mod check_trainer; // trainers with one fault each
mod command_line; // what all commands have in common
mod compare; // searches side by side
mod config; // every key, checks, the shipped files
mod contention; // many tasks at once
mod doctor; // what a place can do
mod early_stopping; // the predictor and its verdicts
mod explain; // one iteration, with the numbers behind it
mod export; // files of the published program, and back
mod fashion_grid; // a benchmark of real trainings
mod finalize; // long trainings of the best networks, and their test
mod full_disk; // for a while
mod init; // what is refused before any work is done
mod interruption; // killed between any two writes
mod layers; // who may use what, where effects stand, how large each module is
mod learning; // Q-learning on synthetic rewards
mod list; // given networks, each so many times
mod man; // the help as man pages
mod models; // the weights of the best networks
mod portable; // the same bytes on every machine
mod recorded; // what was recorded, in the place of training
mod reduce; // learning, again and again
mod report; // what people look at
mod reproduce; // what the papers claim, beside experiments
mod requeue; // killed, queued again, taken up from a checkpoint
mod run; // a whole search on one machine
mod run_ends_early; // interrupted, killed, halted, or with a trainer that does not work
mod set; // what is frozen, and what may change
mod simulate; // early stopping on recorded curves
mod slurm_real; // sbatch for real, where there is a Slurm
mod space; // the search space
mod status; // how far a search is
mod strategies;
mod submit; // a round handed to a scheduler of our own
mod support;
mod table_rules; // what spreadsheets and statistics programs need
mod torch; // metaqnn-torch, where it was built
mod torch_in_trouble; // short of memory, short of disk, killed
mod train; // one task
mod trainer_program; // a trainer of ten lines
mod trust; // what others may write
mod verify; // damaged in every way
