//! The folder of a round: the files by which it is submitted once, and refusals of its tasks.
//!
//! `rounds/0007/1/` is the first rendering of round 7, of which `2/` takes the place if none of its
//! jobs exists. `plan.yaml` and the batch scripts appear together and never change; the first of
//! several submitters to create `array.yaml` or `jobs.yaml` decides what it says.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::q_learning::Epsilon;
use crate::regular_file::{self, SMALL};
use crate::storage::fs::publish::{self, Published};
use crate::storage::{
    dir::ExperimentDir, dir::Folder, dir::number, error::Result, error::StorageError,
    fs::time::Time, fs::yaml,
};

/// What a round is to do, and what is asked of the whole chain.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoundPlan {
    pub round: u32,
    /// Of the names of jobs. Decided once and passed on: the path of an experiment, of which it is
    /// made, may differ between machines.
    pub job_prefix: String,
    pub epsilon: Option<Epsilon>,
    /// Array tasks over all parts; 0 for a round that only waits for open claims and reduces.
    pub array_size: u32,
    pub parts: Vec<u32>,
    pub max_parallel: u32,
    pub last_round: Option<u32>,
    pub asked_array_size: Option<u32>,
    pub asked_max_parallel: Option<u32>,
    pub sbatch_options: Vec<String>,
    /// Of the person's `submit`: they hold where the configuration says `null`.
    pub sbatch_variables: BTreeMap<String, String>,
    /// The end of the open claims that a round waits for.
    pub not_before: Option<Time>,
    pub created_at: Time,
    pub host: String,
}

impl RoundPlan {
    /// Besides when and where they were made.
    pub fn asks_the_same(&self, other: &Self) -> bool {
        let other = Self { created_at: self.created_at, host: self.host.clone(), ..other.clone() };
        *self == other
    }

    pub fn asks_the_same_of_the_chain(&self, other: &Self) -> bool {
        (self.last_round, self.asked_array_size, self.asked_max_parallel)
            == (other.last_round, other.asked_array_size, other.asked_max_parallel)
            && self.sbatch_options == other.sbatch_options
            && self.sbatch_variables == other.sbatch_variables
    }
}

/// The arrays of a round, as the scheduler knows them: written while they are held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoundArray {
    /// Job ids of the parts, in order; empty for a round without tasks.
    pub array_jobs: Vec<String>,
    /// Unique to the round: held arrays that no file names are found by it.
    pub job_name: String,
    /// Withdrawn before an array of the rendering was named: none of them will run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub withdrawn: bool,
}

/// The reduces of a round: written before its array is released.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoundJobs {
    pub reduce_job: String,
    pub second_reduce_job: Option<String>,
}

/// A task that could not even claim, since the trainer refuses to work where it is:
/// `refused.JOB_TASK.HOST.yaml`. The log has rows of claims only, and a node without its GPU ends
/// one task after the other, so that such tasks must be counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskRefusal {
    pub host: String,
    pub job: String,
    pub task: String,
    pub reason: String,
    pub time: Time,
}

const PLAN: &str = "plan.yaml";
const ARRAY: &str = "array.yaml";
const JOBS: &str = "jobs.yaml";

/// It need not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoundDir {
    pub round: u32,
    pub folder: PathBuf,
}

impl RoundDir {
    pub fn of(experiment: &ExperimentDir, round: u32) -> Self {
        Self { round, folder: experiment.round(round) }
    }

    /// The scheduler does not make the folder of its logs.
    pub fn create(experiment: &ExperimentDir, round: u32) -> Result<Self> {
        let round = Self::of(experiment, round);
        fs::create_dir_all(&round.folder).map_err(StorageError::io("create", &round.folder))?;
        publish::sync_folder(&experiment.folder(Folder::Rounds))?;
        Ok(round)
    }

    pub fn rendering(&self, number: u32) -> Rendering {
        Rendering { number, folder: self.folder.join(number.to_string()) }
    }

    /// The renderings that exist, the one that holds last.
    pub fn renderings(&self) -> Result<Vec<Rendering>> {
        let is_one = |name: &str| u32::try_from(number(name, 1)?).ok().filter(|&number| number > 0);
        let found = publish::listing(&self.folder, is_one)?;
        Ok(found.into_iter().map(|(number, folder)| Rendering { number, folder }).collect())
    }

    pub fn newest(&self) -> Result<Option<Rendering>> {
        Ok(self.renderings()?.pop())
    }

    pub fn plan(&self) -> Result<Option<RoundPlan>> {
        self.newest()?.map(|rendering| rendering.plan()).transpose()
    }

    pub fn array(&self) -> Result<Option<RoundArray>> {
        Ok(self.newest()?.map(|rendering| rendering.array()).transpose()?.flatten())
    }

    pub fn render(
        &self,
        rendering: &Rendering,
        plan: &RoundPlan,
        scripts: &[(&str, String)],
    ) -> Result<()> {
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

    pub fn note_refusal(&self, refusal: &TaskRefusal) -> Result<()> {
        // Names of machines are plain; any other character could leave the folder.
        let plain = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '-' };
        let host: String = refusal.host.chars().map(plain).collect();
        let name = format!("refused.{}_{}.{host}.yaml", refusal.job, refusal.task);
        let path = self.folder.join(name);
        publish::file_once(&path, yaml::print(refusal, &path)?.as_bytes())?;
        Ok(())
    }

    pub fn refusals(&self) -> Result<Vec<TaskRefusal>> {
        let is_one = |name: &str| {
            (name.starts_with("refused.") && name.ends_with(".yaml")).then(|| name.to_owned())
        };
        let files = publish::listing(&self.folder, is_one)?.into_iter();
        let mut refusals: Vec<TaskRefusal> =
            files.map(|(_, path)| yaml::read(&path)).collect::<Result<_>>()?;
        refusals.sort_by_key(|refusal| refusal.time);
        Ok(refusals)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendering {
    pub number: u32,
    pub folder: PathBuf,
}

impl Rendering {
    pub fn has_script(&self, name: &str, text: &str) -> bool {
        regular_file::read(&self.folder.join(name), SMALL).is_ok_and(|read| read == text.as_bytes())
    }

    pub fn plan(&self) -> Result<RoundPlan> {
        self.read(PLAN)?.ok_or_else(|| self.missing(PLAN))
    }

    pub fn array(&self) -> Result<Option<RoundArray>> {
        self.read(ARRAY)
    }

    pub fn jobs(&self) -> Result<Option<RoundJobs>> {
        self.read(JOBS)
    }

    /// Returns this, or what the first to create the file has written.
    pub fn settle_array(&self, array: RoundArray) -> Result<RoundArray> {
        self.settle(ARRAY, array)
    }

    pub fn settle_jobs(&self, jobs: RoundJobs) -> Result<RoundJobs> {
        self.settle(JOBS, jobs)
    }

    fn settle<T: Serialize + DeserializeOwned>(&self, name: &'static str, value: T) -> Result<T> {
        let path = self.folder.join(name);
        match publish::file_once(&path, yaml::print(&value, &path)?.as_bytes())? {
            Published::First => Ok(value),
            Published::AlreadyThere => self.read(name)?.ok_or_else(|| self.missing(name)),
        }
    }

    fn missing(&self, name: &'static str) -> StorageError {
        let problem = "is missing (the other files of its folder are there)";
        StorageError::damaged(&self.folder.join(name), problem)
    }

    /// Lists the folder first: a file that another machine has created is seen so.
    fn read<T: DeserializeOwned>(&self, name: &'static str) -> Result<Option<T>> {
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
        assert_eq!(fs::read_to_string(first.folder.join("train.sbatch")).unwrap(), "node1");
        assert_eq!((first.array().unwrap(), first.jobs().unwrap()), (None, None));
        let another = RoundDir::of(&experiment, 8);
        assert_eq!(another.newest().unwrap(), None);
        assert!(!another.folder.exists(), "looking makes nothing");
    }

    #[test]
    fn the_greatest_rendering_holds() {
        let (_folder, experiment) = ExperimentDir::made_up();
        for number in [1, 2, 10] {
            rendered(&experiment, number, &plan("node1"));
        }
        let round = RoundDir::of(&experiment, 7);
        fs::write(round.folder.join("105_0.log"), "").unwrap();
        fs::create_dir(round.folder.join("011")).unwrap();
        assert_eq!(round.newest().unwrap().unwrap().number, 10);
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
        let text = |name| fs::read_to_string(round.folder.join(name)).unwrap();
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

    #[test]
    fn refusals_are_kept_once_for_each_task_and_machine() {
        let (_folder, experiment) = ExperimentDir::made_up();
        let round = RoundDir::create(&experiment, 3).unwrap();
        let refusal = |host: &str, second: i64| TaskRefusal {
            host: host.into(),
            job: "7".into(),
            task: "0".into(),
            reason: "no GPU".into(),
            time: jiff::Timestamp::from_second(second).unwrap().into(),
        };
        assert_eq!(round.refusals().unwrap(), []);
        round.note_refusal(&refusal("n2/../x", 20)).unwrap();
        round.note_refusal(&refusal("n1", 10)).unwrap();
        round.note_refusal(&refusal("n1", 30)).unwrap();
        assert_eq!(round.refusals().unwrap(), [refusal("n1", 10), refusal("n2/../x", 20)]);
        assert_eq!(std::fs::read_dir(round.folder).unwrap().count(), 2);
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
