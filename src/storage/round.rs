//! The files by which a round is submitted once, wherever a submitter crashes: `rounds/0007/1/plan.yaml`, its batch scripts,
//! `array.yaml` and `jobs.yaml`.
//!
//! `rounds/0007/1/` is the first rendering of round 7. Plan and scripts appear together and never change; a round that
//! the scheduler refused, and of which no job exists, is rendered anew as `rounds/0007/2/`, and the greatest number
//! holds. `array.yaml` and `jobs.yaml` are created once: of several submitters the first to create one decides what it
//! says, and the others go on with that. So a later submitter begins at the first file that is missing.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::q_learning::Epsilon;
use crate::regular_file::{self, SMALL};
use crate::storage::dir::ExperimentDir;
use crate::storage::error::StorageError;
use crate::storage::fs::publish::{self, Published};
use crate::storage::fs::time::Time;
use crate::storage::fs::yaml;

/// What a round is to do: written before anything is submitted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoundPlan {
    /// Number of the round, from 1.
    pub round: u32,
    /// What the names of the experiment's jobs begin with. Decided once and passed on from round to round: the path
    /// of an experiment, of which it is made, may not be the same on every machine.
    pub job_prefix: String,
    /// The epsilon in force; `None` when the schedule is finished and the round only reduces.
    pub epsilon: Option<Epsilon>,
    /// Number of array tasks over all parts; 0 for a round that only waits for open claims and reduces.
    pub array_size: u32,
    /// Sizes of the arrays it is submitted as, each within the scheduler's limit.
    pub parts: Vec<u32>,
    /// Tasks that may run at the same time.
    pub max_parallel: u32,
    /// The last round of the chain; `None` when it goes on until the schedule is finished.
    pub last_round: Option<u32>,
    /// What a person asked in place of `slurm.array_size`, for the whole chain.
    pub asked_array_size: Option<u32>,
    /// What a person asked in place of `slurm.max_parallel`, for the whole chain.
    pub asked_max_parallel: Option<u32>,
    /// Further options for `sbatch`, for the whole chain.
    pub sbatch_options: Vec<String>,
    /// What the environment of the person's `submit` said where the configuration may say `null`, for the whole chain:
    /// `SBATCH_ACCOUNT` and the like.
    pub sbatch_variables: BTreeMap<String, String>,
    /// Not to begin before, for a round that waits for the end of open claims.
    pub not_before: Option<Time>,
    /// When the plan was made.
    pub created_at: Time,
    /// The machine it was made on.
    pub host: String,
}

impl RoundPlan {
    /// Returns whether both ask for the same. When and where a plan was made does not matter.
    pub fn asks_the_same(&self, other: &Self) -> bool {
        let other = Self { created_at: self.created_at, host: self.host.clone(), ..other.clone() };
        *self == other
    }
}

/// The arrays of a round, as the scheduler knows them: written while they are held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoundArray {
    /// Job ids of the parts, in order; empty for a round without tasks.
    pub array_jobs: Vec<String>,
    /// Name of the jobs, which no other round of any experiment bears: held arrays that no file
    /// names are found by it.
    pub job_name: String,
    /// Whether the rendering was withdrawn before an array of it was named: none of them will ever run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub withdrawn: bool,
}

/// The reduces of a round: written before its array is released.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoundJobs {
    /// Job id of the reduce.
    pub reduce_job: String,
    /// Job id of the second reduce, which runs when the first one fails.
    pub second_reduce_job: Option<String>,
}

const PLAN: &str = "plan.yaml";
const ARRAY: &str = "array.yaml";
const JOBS: &str = "jobs.yaml";

/// The folder of one round: its renderings, the scheduler's logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoundDir {
    round: u32,
    folder: PathBuf,
}

impl RoundDir {
    /// Names the folder of a round, to look at; it need not be there.
    pub fn of(experiment: &ExperimentDir, round: u32) -> Self {
        Self { round, folder: experiment.round(round) }
    }

    /// Makes the folder of a round, unless it is there: the scheduler writes its logs into it, and
    /// does not make it.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn create(experiment: &ExperimentDir, round: u32) -> Result<Self, StorageError> {
        let round = Self::of(experiment, round);
        fs::create_dir_all(&round.folder).map_err(StorageError::io("create", &round.folder))?;
        publish::sync_folder(&experiment.rounds())?;
        Ok(round)
    }

    /// Returns the number of the round.
    pub const fn round(&self) -> u32 {
        self.round
    }

    /// Returns the folder, for logs.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Names a rendering of the round, from 1; it need not be there.
    pub fn rendering(&self, number: u32) -> Rendering {
        Rendering { number, folder: self.folder.join(number.to_string()) }
    }

    /// Returns the renderings that are there, the one that holds last.
    ///
    /// # Errors
    /// The folder cannot be listed.
    pub fn renderings(&self) -> Result<Vec<Rendering>, StorageError> {
        let is_one = |name: &str| {
            let number: u32 = name.parse().ok()?;
            (number > 0 && number.to_string() == name).then_some(number)
        };
        let found = publish::listing(&self.folder, is_one)?;
        Ok(found.into_iter().map(|(number, folder)| Rendering { number, folder }).collect())
    }

    /// Returns the rendering that holds: the one with the greatest number.
    ///
    /// # Errors
    /// The folder cannot be listed.
    pub fn newest(&self) -> Result<Option<Rendering>, StorageError> {
        Ok(self.renderings()?.pop())
    }

    /// Reads the plan that holds, `None` when the round was never rendered.
    ///
    /// # Errors
    /// A file that is there and cannot be read.
    pub fn plan(&self) -> Result<Option<RoundPlan>, StorageError> {
        self.newest()?.map(|rendering| rendering.plan()).transpose()
    }

    /// Reads the array of the rendering that holds, `None` when there is none yet.
    ///
    /// # Errors
    /// A file that is there and cannot be read.
    pub fn array(&self) -> Result<Option<RoundArray>, StorageError> {
        Ok(self.newest()?.map(|rendering| rendering.array()).transpose()?.flatten())
    }

    /// Publishes a rendering, unless its number is taken.
    ///
    /// # Errors
    /// A file that cannot be written, or the folder cannot be renamed.
    pub fn render(
        &self,
        rendering: &Rendering,
        plan: &RoundPlan,
        scripts: &[(&str, String)],
    ) -> Result<(), StorageError> {
        publish::folder_once(&rendering.folder, |aside| {
            let plan = (PLAN, yaml::print(plan, &rendering.folder.join(PLAN))?);
            for (name, text) in scripts.iter().chain([&plan]) {
                let path = aside.join(name);
                fs::write(&path, text).map_err(StorageError::io("write", &path))?;
            }
            Ok(())
        })?;
        Ok(())
    }
}

/// One rendering of a round: its plan and batch scripts, and what became of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendering {
    number: u32,
    folder: PathBuf,
}

impl Rendering {
    /// Returns its number, from 1.
    pub const fn number(&self) -> u32 {
        self.number
    }

    /// Returns the folder, for scripts.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns whether the rendering has this text as a batch script.
    pub fn has_script(&self, name: &str, text: &str) -> bool {
        regular_file::read(&self.folder.join(name), SMALL).is_ok_and(|read| read == text.as_bytes())
    }

    /// Reads the plan.
    ///
    /// # Errors
    /// It is not there, or cannot be read.
    pub fn plan(&self) -> Result<RoundPlan, StorageError> {
        self.read(PLAN)?.ok_or_else(|| self.missing(PLAN))
    }

    /// Reads the array, `None` when there is none yet.
    ///
    /// # Errors
    /// A file that is there and cannot be read.
    pub fn array(&self) -> Result<Option<RoundArray>, StorageError> {
        self.read(ARRAY)
    }

    /// Reads the reduces, `None` when there are none yet.
    ///
    /// # Errors
    /// A file that is there and cannot be read.
    pub fn jobs(&self) -> Result<Option<RoundJobs>, StorageError> {
        self.read(JOBS)
    }

    /// Creates the file of the array and returns what it says: this one, or that of whoever was first.
    ///
    /// # Errors
    /// A file that cannot be written or read.
    pub fn settle_array(&self, array: RoundArray) -> Result<RoundArray, StorageError> {
        self.settle(ARRAY, array)
    }

    /// Creates the file of the reduces and returns what it says: these, or those of whoever was first.
    ///
    /// # Errors
    /// A file that cannot be written or read.
    pub fn settle_jobs(&self, jobs: RoundJobs) -> Result<RoundJobs, StorageError> {
        self.settle(JOBS, jobs)
    }

    fn settle<T: Serialize + DeserializeOwned>(
        &self,
        name: &'static str,
        value: T,
    ) -> Result<T, StorageError> {
        let path = self.folder.join(name);
        match publish::file_once(&path, yaml::print(&value, &path)?.as_bytes())? {
            Published::First => Ok(value),
            Published::AlreadyThere => self.read(name)?.ok_or_else(|| self.missing(name)),
        }
    }

    fn missing(&self, name: &'static str) -> StorageError {
        StorageError::Missing { path: self.folder.join(name) }
    }

    /// Lists the folder before it opens a file: one that another machine has created is seen so.
    fn read<T: DeserializeOwned>(&self, name: &'static str) -> Result<Option<T>, StorageError> {
        let found = publish::listing(&self.folder, |entry| (entry == name).then_some(()))?;
        found.first().map(|(_, path)| yaml::read(path)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plan(host: &str) -> RoundPlan {
        RoundPlan {
            round: 7,
            job_prefix: "svhn-1f2e3d4c".to_owned(),
            epsilon: Some(Epsilon::new(0.9).unwrap()),
            array_size: 1500,
            parts: vec![1000, 500],
            max_parallel: 10,
            last_round: None,
            asked_array_size: None,
            asked_max_parallel: None,
            sbatch_options: vec!["--nice".to_owned()],
            sbatch_variables: [("SBATCH_ACCOUNT".to_owned(), "lab".to_owned())].into(),
            not_before: None,
            created_at: "2026-03-01T12:00:00.250Z".parse().unwrap(),
            host: host.to_owned(),
        }
    }

    /// A rendering of round 7.
    fn rendered(experiment: &ExperimentDir, number: u32, plan: &RoundPlan) -> Rendering {
        let round = RoundDir::create(experiment, 7).unwrap();
        let rendering = round.rendering(number);
        round.render(&rendering, plan, &[("train.sbatch", plan.host.clone())]).unwrap();
        rendering
    }

    #[test]
    fn the_first_to_render_decides_for_all() {
        let (_folder, experiment) = ExperimentDir::made_up();
        let round = RoundDir::create(&experiment, 7).unwrap();
        assert_eq!(round.newest().unwrap(), None);
        rendered(&experiment, 1, &plan("node1"));
        let first = rendered(&experiment, 1, &plan("node2"));
        assert_eq!(first.plan().unwrap(), plan("node1"));
        assert_eq!(fs::read_to_string(first.folder().join("train.sbatch")).unwrap(), "node1");
        assert_eq!((first.array().unwrap(), first.jobs().unwrap()), (None, None));
        let another = RoundDir::of(&experiment, 8);
        assert_eq!(another.newest().unwrap(), None);
        assert!(!another.folder().exists(), "looking makes nothing");
    }

    #[test]
    fn the_greatest_rendering_holds() {
        let (_folder, experiment) = ExperimentDir::made_up();
        for number in [1, 2, 10] {
            rendered(&experiment, number, &plan("node1"));
        }
        let round = RoundDir::of(&experiment, 7);
        fs::write(round.folder().join("105_0.log"), "").unwrap();
        fs::create_dir(round.folder().join("011")).unwrap();
        assert_eq!(round.newest().unwrap().unwrap().number(), 10);
    }

    #[test]
    fn a_plan_made_later_elsewhere_asks_for_the_same() {
        let later = RoundPlan { created_at: "2026-03-02T12:00:00Z".parse().unwrap(), ..plan("b") };
        assert!(plan("a").asks_the_same(&later));
        assert!(!plan("a").asks_the_same(&RoundPlan { max_parallel: 9, ..plan("a") }));
    }

    #[test]
    fn rounds_are_listed_in_the_order_of_their_numbers() {
        let (_folder, experiment) = ExperimentDir::made_up();
        assert!(experiment.list_rounds().unwrap().is_empty());
        for round in [9, 10_000, 10] {
            RoundDir::create(&experiment, round).unwrap();
        }
        let listed = experiment.list_rounds().unwrap();
        assert!(listed.into_iter().map(|(round, _)| round).eq([9, 10, 10_000]));
    }

    #[test]
    fn a_person_can_read_the_files() {
        let (_folder, experiment) = ExperimentDir::made_up();
        let plan = RoundPlan { array_size: 0, parts: vec![], ..plan("node1") };
        let round = rendered(&experiment, 1, &plan);
        let jobs = ["1002".to_owned(), "1003".to_owned()];
        let array = RoundArray {
            array_jobs: jobs.to_vec(),
            job_name: "svhn.7".to_owned(),
            withdrawn: false,
        };
        assert_eq!(round.settle_array(array.clone()).unwrap(), array);
        let [reduce_job, second] = jobs;
        round.settle_jobs(RoundJobs { reduce_job, second_reduce_job: Some(second) }).unwrap();
        let text = |name| fs::read_to_string(round.folder().join(name)).unwrap();
        assert_eq!(
            text("plan.yaml"),
            "round: 7\njob_prefix: svhn-1f2e3d4c\nepsilon: 0.9\narray_size: 0\nparts: []\nmax_parallel: 10\nlast_round: null\n\
             asked_array_size: null\nasked_max_parallel: null\nsbatch_options:\n- --nice\n\
             sbatch_variables:\n  SBATCH_ACCOUNT: lab\nnot_before: null\n\
             created_at: 2026-03-01T12:00:00.250Z\nhost: node1\n"
        );
        assert_eq!(text("array.yaml"), "array_jobs:\n- '1002'\n- '1003'\njob_name: svhn.7\n");
        assert_eq!(text("jobs.yaml"), "reduce_job: '1002'\nsecond_reduce_job: '1003'\n");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let folder = tempfile::tempdir().unwrap();
            let rendering = Rendering { number: 1, folder: folder.path().to_owned() };
            fs::write(folder.path().join(PLAN), bytes).unwrap();
            prop_assert!(rendering.plan().is_err());
        }
    }
}
