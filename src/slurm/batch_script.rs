//! Batch scripts: the templates `slurm/*.sbatch`, which also run by hand, with two parts filled in.

use std::collections::BTreeMap;
use std::path::Path;

use itertools::Itertools;

use super::job::option_value;
use super::quoting::{directive_quoted, shell_quoted};
use super::{SlurmError, ValidSlurmParams};

const TRAIN: &str = include_str!("../../slurm/train.sbatch");
const REDUCE: &str = include_str!("../../slurm/reduce.sbatch");
const FINALIZE: &str = include_str!("../../slurm/finalize.sbatch");
const END_OF_SETUP: &str = "# end setup";

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Work<'a> {
    /// A task of a round.
    Train(u32),
    /// The end of a round.
    Reduce(u32),
    /// The test of final trainings, perhaps on the data set of this configuration.
    Finalize(Option<&'a Path>),
}

/// What a person's `submit` says beside the configuration, for every round of a chain.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// They stand on the command line of arrays; account, partition, quality of service and
    /// reservation hold for reduces, too.
    pub options: &'a [String],
    pub variables: &'a BTreeMap<String, String>,
}

impl<'a> Asked<'a> {
    /// For the tasks: that of the command line, else the configured one, else that of a variable.
    pub fn value(self, long: &str, short: &str, configured: Option<&'a str>) -> Option<&'a str> {
        let given = option_value(self.options, long, short);
        given.or_else(|| self.value_in_script(long, configured))
    }

    fn value_in_script(self, long: &str, configured: Option<&'a str>) -> Option<&'a str> {
        let variable = || self.variables.get(&format!("SBATCH_{}", long.to_ascii_uppercase()));
        configured.or_else(|| variable().map(String::as_str))
    }
}

#[derive(Debug, Clone, Copy)]
pub struct BatchScript<'a> {
    pub work: Work<'a>,
    pub program: &'a Path,
    pub experiment: &'a Path,
    /// A job without it fails silently.
    pub log_folder: &'a Path,
    pub trust_group: bool,
    pub params: &'a ValidSlurmParams,
    pub asked: Asked<'a>,
}

impl BatchScript<'_> {
    /// A shell reads nothing of the configuration but `setup_lines`; options are quoted.
    pub fn render(&self) -> Result<String, SlurmError> {
        let log_folder = check_experiment_path(self.log_folder)?;
        let template = match self.work {
            Work::Train(_) => TRAIN,
            Work::Reduce(_) => REDUCE,
            Work::Finalize(_) => FINALIZE,
        };
        let script = with_part(template, "options", &self.options(log_folder));
        Ok(with_part(&script, "setup", &self.setup()?))
    }

    fn setup(&self) -> Result<Vec<String>, SlurmError> {
        let program = shell_quoted(checked(self.program)?);
        let experiment = shell_quoted(check_experiment_path(self.experiment)?);
        let trust = if self.trust_group { " --trust-group" } else { "" };
        let what = match self.work {
            Work::Train(round) | Work::Reduce(round) => format!("--round {round}"),
            Work::Finalize(None) => "--test-only".to_owned(),
            Work::Finalize(Some(data)) => {
                format!("--test-only --data {}", shell_quoted(checked(data)?))
            }
        };
        let before = [
            format!("METAQNN={program}"),
            format!("arguments=({experiment} {what}{trust})"),
            format!("mapfile -t setup_lines <<'{END_OF_SETUP}'"),
        ];
        Ok([&before[..], &self.params.setup_lines, &[END_OF_SETUP.to_owned()]].concat())
    }

    fn options(&self, log_folder: &str) -> Vec<String> {
        let (params, reduce, asked) = (&**self.params, &self.params.reduce, self.asked);
        let (is_on_device, log) = match self.work {
            Work::Train(_) => (true, "%A_%a"),
            Work::Reduce(_) => (false, "reduce-%j"),
            Work::Finalize(_) => (true, "test-%j"),
        };
        let mut options = vec![directive("output", &format!("{log_folder}/{log}.log"))];
        for (name, short, of_tasks, of_reduce) in [
            ("partition", "-p", &params.partition, &reduce.partition),
            ("account", "-A", &params.account, &None),
            ("qos", "-q", &params.qos, &reduce.qos),
            ("reservation", "", &None, &None),
        ] {
            let of_tasks = of_tasks.as_deref();
            let value = if is_on_device {
                asked.value_in_script(name, of_tasks)
            } else {
                of_reduce.as_deref().or_else(|| asked.value(name, short, of_tasks))
            };
            options.extend(given(name, value));
        }
        let (time, cpus, memory, extra_options) = if is_on_device {
            (params.time, params.cpus_per_task, &params.memory, &params.extra_options)
        } else {
            (reduce.time, reduce.cpus_per_task, &reduce.memory, &reduce.extra_options)
        };
        options.extend(given("time", time));
        options.extend(given("cpus-per-task", Some(cpus)));
        options.extend(given("mem", memory.as_ref()));
        if is_on_device {
            options.extend(given("gres", params.gres.as_ref()));
            options.extend(given("constraint", params.constraint.as_ref()));
            options.extend(given("exclude", params.exclude.as_ref()));
        }
        options.extend(extra_options.iter().map(|option| extra(option)));
        let requeue = if params.requeue { "--requeue" } else { "--no-requeue" };
        let fixed = [requeue, "--open-mode=append", "--kill-on-invalid-dep=yes"];
        options.extend(fixed.map(|option| format!("#SBATCH {option}")));
        if let Work::Train(_) = self.work {
            let signal = format!("B:USR1@{}", params.signal_seconds);
            options.extend(given("signal", Some(signal)));
        }
        options
    }
}

/// Checks that batch scripts and logs can lie in this folder, and returns it as text. In
/// `--output`, Slurm replaces `%` patterns and drops backslashes.
pub fn check_experiment_path(path: &Path) -> Result<&str, SlurmError> {
    let text = checked(path)?;
    let problem = "contains `%` or a backslash, which Slurm changes in the names of logs";
    if text.contains(['%', '\\']) { Err(refused(path, problem)) } else { Ok(text) }
}

fn checked(path: &Path) -> Result<&str, SlurmError> {
    let text = path.to_str().ok_or_else(|| refused(path, "is not valid UTF-8"))?;
    if text.chars().any(char::is_control) {
        return Err(refused(path, "contains a line break or another control character"));
    }
    path.is_absolute().then_some(text).ok_or_else(|| refused(path, "is not absolute"))
}

fn refused(path: &Path, problem: &str) -> SlurmError {
    SlurmError::Unusable(format!("path `{}` {problem} (choose another folder)", path.display()))
}

fn directive(name: &str, value: &str) -> String {
    format!("#SBATCH --{name}={}", directive_quoted(value))
}

fn given(name: &str, value: Option<impl ToString>) -> Option<String> {
    value.map(|value| directive(name, &value.to_string()))
}

fn extra(option: &str) -> String {
    match option.strip_prefix("--").and_then(|option| option.split_once('=')) {
        Some((name, value)) => directive(name, value),
        None => format!("#SBATCH {option}"),
    }
}

/// Replaces the part of a template from `# begin NAME` to `# end NAME`.
fn with_part(template: &str, name: &str, lines: &[String]) -> String {
    let (begin, end) = (format!("# begin {name}"), format!("# end {name}"));
    let before = template.lines().take_while(|line| !line.starts_with(&begin));
    let after = template.lines().skip_while(|line| !line.starts_with(&end)).skip(1);
    let mut lines = before.chain(lines.iter().map(String::as_str)).chain(after);
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::super::SlurmParams;
    use super::*;
    use proptest::prelude::*;
    use std::fs;
    use std::path::PathBuf;
    use std::process::Command;

    fn params(yaml: &str) -> ValidSlurmParams {
        serde_yaml::from_str::<SlurmParams>(yaml).unwrap().check().unwrap()
    }

    fn script<'a>(
        work: Work<'a>,
        experiment: &'a Path,
        params: &'a ValidSlurmParams,
    ) -> BatchScript<'a> {
        BatchScript {
            work,
            program: Path::new("/opt/metaqnn/bin/metaqnn"),
            experiment,
            log_folder: Path::new("/scratch/ada/svhn search/rounds/0007"),
            trust_group: false,
            params,
            asked: Asked { options: &[], variables: &NONE },
        }
    }

    static NONE: BTreeMap<String, String> = BTreeMap::new();

    /// The lines of a script with partition, account, quality of service and reservation.
    fn placement(work: Work<'_>, yaml: &str, options: &[&str]) -> Vec<String> {
        let options: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
        let variables = ["PARTITION", "ACCOUNT", "QOS", "RESERVATION"]
            .map(|name| (format!("SBATCH_{name}"), name.to_ascii_lowercase()))
            .into();
        let asked = Asked { options: &options, variables: &variables };
        let params = params(yaml);
        let script = BatchScript { asked, ..script(work, Path::new("/x"), &params) };
        let text = script.render().unwrap();
        let lines = text.lines().filter_map(|line| line.strip_prefix("#SBATCH --"));
        let names = ["partition=", "account=", "qos=", "reservation="];
        let is_one = |line: &&str| names.iter().any(|name| line.starts_with(name));
        lines.filter(is_one).map(str::to_owned).collect()
    }

    #[test]
    fn the_persons_variables_hold_where_the_configuration_says_null() {
        let (train, reduce) = (Work::Train(7), Work::Reduce(7));
        let all = ["partition=partition", "account=account", "qos=qos", "reservation=reservation"];
        assert_eq!(placement(train, "{}", &[]), all);
        assert_eq!(placement(reduce, "{}", &[]), all);
        let configured = "{partition: gpu, account: lab, reduce: {qos: short}}";
        let train = placement(train, configured, &[]);
        assert_eq!(train, ["partition=gpu", "account=lab", "qos=qos", "reservation=reservation"]);
        let reduce = placement(reduce, configured, &[]);
        assert_eq!(
            reduce,
            ["partition=gpu", "account=lab", "qos=short", "reservation=reservation"]
        );
    }

    #[test]
    fn what_a_person_says_of_place_and_account_holds_for_the_reduce() {
        let options = ["-p", "big", "--account=mine", "--nice"];
        let reduce = |yaml| placement(Work::Reduce(7), yaml, &options);
        let lines = reduce("{partition: gpu, account: lab, reduce: {qos: short}}");
        assert_eq!(
            lines,
            ["partition=big", "account=mine", "qos=short", "reservation=reservation"]
        );
        assert!(reduce("{reduce: {partition: cpu}}").contains(&"partition=cpu".to_owned()));
    }

    const EVERY_OPTION: &str = "
        partition: gpu
        account: lab
        qos: normal
        time: 04:00:00
        cpus_per_task: 4
        memory: 16G
        gres: gpu:1
        constraint: '[v100|a100]'
        exclude: n[3-4]
        setup_lines: [module load cuda]
        extra_options: [--mail-type=END, --comment=the \"first\" search, --exclusive]
        reduce: {partition: cpu, time: 30, cpus_per_task: 2, memory: 4G, extra_options: [--nice]}";

    /// Compares with `tests/golden/NAME`. To accept a change: `METAQNN_ACCEPT=1 cargo test`, then
    /// read the diff.
    fn assert_golden(name: &str, text: &str) {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
        if std::env::var_os("METAQNN_ACCEPT").is_some() {
            fs::write(&path, text).unwrap();
        }
        let golden = fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(
            golden, text,
            "{name} (to accept the change, run the tests with METAQNN_ACCEPT=1)"
        );
    }

    #[test]
    fn rendered_scripts_are_as_recorded() {
        let (experiment, params) = (Path::new("/scratch/ada/svhn search"), params(EVERY_OPTION));
        assert_golden(
            "train.sbatch",
            &script(Work::Train(7), experiment, &params).render().unwrap(),
        );
        for (name, work) in [
            ("reduce.sbatch", Work::Reduce(7)),
            ("finalize.sbatch", Work::Finalize(Some(Path::new("/scratch/ada/svhn.yaml")))),
        ] {
            assert_golden(name, &script(work, experiment, &params).render().unwrap());
        }
    }

    #[test]
    fn the_defaults_leave_the_rest_to_the_cluster() {
        let params = params("{}");
        let text = script(Work::Train(7), Path::new("/x"), &params).render().unwrap();
        let options: Vec<&str> = text.lines().filter(|line| line.starts_with("#SBATCH")).collect();
        assert_eq!(
            options,
            [
                "#SBATCH --output=\"/scratch/ada/svhn search/rounds/0007/%A_%a.log\"",
                "#SBATCH --cpus-per-task=2",
                "#SBATCH --gres=gpu:1",
                "#SBATCH --requeue",
                "#SBATCH --open-mode=append",
                "#SBATCH --kill-on-invalid-dep=yes",
                "#SBATCH --signal=B:USR1@120",
            ]
        );
    }

    #[test]
    fn all_templates_have_their_parts_and_the_program_last() {
        for template in [TRAIN, REDUCE, FINALIZE] {
            for part in ["options", "setup"] {
                assert_eq!(template.matches(&format!("\n# begin {part}")).count(), 1);
                assert_eq!(template.matches(&format!("\n# end {part}\n")).count(), 1);
            }
            assert!(template.lines().last().unwrap().starts_with("exec \"${METAQNN:-metaqnn}\" "));
        }
    }

    #[test]
    fn the_shell_ignores_the_warning_before_anything_slow() {
        let params = params("setup_lines: [sleep 60]");
        let text = script(Work::Train(7), Path::new("/x"), &params).render().unwrap();
        let position = |part: &str| text.find(part).unwrap();
        assert!(position("\n#SBATCH --signal") < position("\ntrap '' USR1"));
        assert!(position("\ntrap '' USR1") < position("\nsleep 60\n"));
        assert!(position("\nsleep 60\n") < position("\nexec "));
    }

    #[test]
    fn paths_that_slurm_would_change_are_refused() {
        for (path, word) in [
            ("/scratch/50%j", "`%`"),
            ("/scratch/a\\b", "backslash"),
            ("/scratch/a\nb", "line break"),
            ("relative", "not absolute"),
        ] {
            let error = check_experiment_path(Path::new(path)).unwrap_err().to_string();
            assert!(error.contains(word) && error.contains("choose another folder"), "{error}");
        }
    }

    /// Runs a rendered script with these setup lines and a program that prints its arguments and
    /// `X`.
    fn run_with(setup_lines: &[&str]) -> (Option<i32>, String) {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        file("program", "#!/bin/sh\necho \"$*: X=$X\"\n");
        // A site's own files go on after commands that fail.
        file(
            "site",
            "_f() { [ -n \"$UNSET\" ] && return 1; return 0; }\nfalse\n_f\nexport X=site\n",
        );
        let program = folder.path().join("program");
        fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let params = SlurmParams {
            setup_lines: setup_lines.iter().map(|&line| line.to_owned()).collect(),
            ..SlurmParams::default()
        };
        let params = params.check().unwrap();
        let script =
            BatchScript { program: &program, ..script(Work::Train(7), Path::new("/x"), &params) };
        file("script", &script.render().unwrap());
        let output =
            Command::new("bash").arg("script").current_dir(folder.path()).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).unwrap())
    }

    #[test]
    fn a_setup_line_that_fails_ends_the_job_before_the_program_and_is_named() {
        let tcl_modules =
            "module() { echo \"ERROR:105: Unable to locate a modulefile for '$2'\" >&2; }";
        for (lines, how) in [
            (&["no-module load cuda"][..], "(exit status 127): no-module load cuda ("),
            (
                &["module() { return 1; }", "module load x"],
                "(exit status 1 of `return 1`): module load x (",
            ),
            (&[tcl_modules, "module load x"], "(it reports an error): module load x ("),
            (&[tcl_modules, "  module load x"], "(it reports an error):   module load x ("),
            (&["eval \"$(no-conda hook)\""], "): eval \"$(no-conda hook)\" ("),
            (&["source venv/bin/activate"], "(exit status 1): source venv/bin/activate ("),
            (&["cd nowhere && source site"], "(exit status 1): cd nowhere && source site ("),
            (&["false | cat"], "(exit status 1 0): false | cat ("),
            (&["false; true"], "(exit status 1 of `false`): false; true ("),
            (&["X=1", "X=$(exit 3)"], "(exit status 3): X=$(exit 3) ("),
            (&["export X=\"$(exit 3)\""], "): export X=\"$(exit 3)\" ("),
            (
                &["if true; then", "  false", "  true", "fi"],
                "(exit status 1 of `false`): if true; then (",
            ),
            (&["setup() {", "false", "true", "}", "setup"], "(exit status 1 of `false`): setup ("),
            (&["set +e", "false"], "(exit status 1): false ("),
            (&["exit 0"], "(it ended the script with exit status 0): exit 0 ("),
            (&["set -u", "source site"], "(it ended the script with exit status 1): source site ("),
            (&["if true; then"], "(it is not complete): if true; then ("),
            (&["echo 'a"], "(it is not complete): echo 'a ("),
        ] {
            let (status, text) = run_with(lines);
            assert_eq!(status, Some(4), "{lines:?}: {text}");
            let last = text.lines().last().unwrap();
            assert!(
                last.starts_with("metaqnn: setup line failed (") && last.contains(how),
                "{lines:?}: {text}"
            );
            assert!(!text.contains("train /x"), "{lines:?}: {text}");
        }
    }

    #[test]
    fn setup_lines_that_succeed_or_may_fail_reach_the_program() {
        for (lines, x) in [
            (&[][..], ""),
            (&["# a comment", "", "X=1", "export X"], "1"),
            (&["no-module load cuda || true"], ""),
            (&["export X=\"$(echo 'a  b')\""], "a  b"),
            (&["export X=$(false) || true"], ""),
            (&["if false", "then", "  false", "else", "  export X=1", "fi"], "1"),
            (&["export X=$(", "  echo 1", ")"], "1"),
            (&["export X=$(cat <<END", "1", "END", ")"], "1"),
            (&["eval \"$(echo 'export X=1')\""], "1"),
            (&["eval \"$(echo export)\" \"$(echo X=1)\""], "1"),
            (&["grep -q a /dev/null && export X=1"], ""),
            (&["module() { echo ERROR >&2; }", "module load x || true"], ""),
            (&["read -r X <<END", "a 'quote", "END", "export X"], "a 'quote"),
            (&["export X=a\\", "b"], "ab"),
            (&["f() { echo a; }", "export X=$(f)"], "a"),
            (&["[ -e nowhere ] && source nowhere"], ""),
            (&["for i in a b; do [ -e $i ] && X=$i; done"], ""),
            (&["if grep -q a /dev/null; then X=1; fi"], ""),
            (&["yes | head -n 1 >/dev/null"], ""),
            (&["source site"], "site"),
            (&["module() { echo \"loading $2\" >&2; export X=$2; }", "module load cuda"], "cuda"),
            (&["set -euo pipefail", "export X=1"], "1"),
            (&["set -- a b c", "cd /"], ""),
        ] {
            let (status, text) = run_with(lines);
            assert_eq!(status, Some(0), "{lines:?}: {text}");
            assert!(text.contains(&format!("train /x --round 7: X={x}\n")), "{lines:?}: {text}");
        }
    }

    #[test]
    fn all_templates_run_their_setup_lines_alike() {
        let part = |text: &'static str| {
            let (_, from) = text.split_once("\n# begin setup").unwrap();
            from.split_once("\n# Last: ").unwrap().0
        };
        assert_eq!([part(REDUCE), part(FINALIZE)], [part(TRAIN); 2]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        /// Runs the rendered script by a real shell, with a program that prints its arguments.
        #[test]
        fn any_path_reaches_the_program_unchanged(name in "[^/%\\\\\\p{Cc}]{1,20}|[ '\"$`!*~#&;]{1,8}", round in 0..9999u32) {
            let experiment = PathBuf::from(format!("/scratch/{name}"));
            let params = params("setup_lines: ['METAQNN=/bin/echo', 'exec 2>&1']");
            let text = script(Work::Reduce(round), &experiment, &params).render().unwrap();
            let output = Command::new("/bin/bash").arg("-c").arg(&text).env_remove("METAQNN").output().unwrap();
            let expected = format!("reduce /scratch/{name} --round {round}\n");
            prop_assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
        }

        #[test]
        fn no_text_of_the_configuration_adds_a_line(text in "[^\\p{Cc}]{1,30}") {
            prop_assume!(!text.trim().is_empty());
            let yaml = serde_yaml::to_string(&SlurmParams { constraint: Some(text), ..SlurmParams::default() }).unwrap();
            let (with, without) = (params(&yaml), params("{}"));
            let lines = |params| script(Work::Train(7), Path::new("/x"), params).render().unwrap().lines().count();
            prop_assert_eq!(lines(&with), lines(&without) + 1);
        }
    }
}
