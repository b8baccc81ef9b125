//! The layers of the crate, read from its source: which module may use which, where effects may
//! stand, how large a module may grow, and that no files use one another in a circle.
//!
//! Within one crate the compiler enforces none of this, so `src/` is parsed here.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

/// From the lowest layer to the highest: a module, its budget of lines without tests, and the
/// modules it may name. A change may raise a budget in the same commit, with a reason there.
const MODULES: &[(&str, usize, &[&str])] = &[
    ("invalid", 50, &[]),
    // 1,070 before masks; 1,140 before the costs of single layers.
    ("space", 1_159, &["invalid"]),
    ("outcome", 70, &[]),
    ("seed", 60, &[]),
    // 125 before means and standard errors of any values.
    ("maths", 135, &[]),
    ("regular_file", 200, &[]),
    ("yaml_bounds", 125, &[]),
    ("q_learning", 680, &["space", "outcome", "invalid"]),
    ("predictor", 1_745, &["space", "outcome", "maths", "invalid"]),
    (
        "storage",
        // 4,916 before views held what a strategy has learned.
        4_945,
        &["space", "outcome", "seed", "q_learning", "predictor", "regular_file", "yaml_bounds"],
    ),
    // 1,200 before Bayesian optimisation with its Gaussian process; 1,310 before strategies went on
    // from what a view has of them; 1,372 before the controller had a file of its own; 1,404 before its
    // reason counted one result.
    ("strategy", 1_405, &["space", "invalid", "seed", "maths", "q_learning", "storage"]),
    ("exchange", 360, &["space", "outcome", "q_learning", "storage"]),
    // 1,095 before pictures and arrays of numpy; 2,645 before files were named by what they are.
    ("dataset", 3_002, &["seed", "maths", "regular_file", "invalid"]),
    // 1,770 before recipes of long trainings, and the request `evaluate`; 2,040 before recordings.
    // 2,320 before faults of trainers were told in words.
    ("training", 2_565, &["space", "outcome", "seed", "maths", "regular_file", "invalid"]),
    // A model as others read it: its graph in ONNX is most of it. 820 before versions of libraries.
    ("model", 830, &["space", "maths", "dataset", "training", "regular_file"]),
    // 1,396 before the reasons of pending jobs, in words.
    ("slurm", 1_500, &["invalid"]),
    (
        "config",
        // 765 before a burn-in of a strategy, too, was scaled and warned of.
        775,
        &[
            "space", "outcome", "q_learning", "predictor", "strategy", "dataset", "training",
            "slurm", "regular_file", "yaml_bounds", "invalid",
        ],
    ),
    // 1,860 before the long trainings after a search. An error with its interval is the model's.
    (
        "report",
        // 2,565 before strategies were compared; 3,048 before figures; 4,400 before the page.
        // 4,870 before the workbook.
        // 5,166 before pending jobs, and the time left on so many workers.
        // 5,230 before `explain` and `compare`.
        // 6,125 before the claims of the papers (`reproduce`).
        // 6,838 before all tables of text were drawn by one function; 6,876 before claims without a
        // replay said why.
        // 6,901 before the share of seeds better than random had an interval.
        6_910,
        &["space", "outcome", "seed", "maths", "q_learning", "predictor", "storage", "model"],
    ),
    (
        "ops",
        // 7,915 before searches with other seeds, and weights to begin with; 7,990 before `finalize`;
        // 9,230 before openings, images and models of the test that are gone or others are found.
        // 9,325 before a training and its recording were two steps, and searches in simulated time,
        // and before recordings.
        // 10,100 before conversations with trainers (`check-trainer`).
        // 10,412 before views held what a strategy has learned, and folders of killed benchmarks were
        // removed; 10,498 before workbooks and decimal commas.
        // 10,544 before searches were watched, and their jobs asked for.
        // 10,730 before `explain` and `compare`.
        // 10,990 before `reproduce`.
        // 11,125 before `compare` distinguished folders of one name.
        // 11,140 before it wrote schedules as people read them.
        // 11,148 before `set` made searches without epsilons longer; 11,174 before parts of tables
        // were removed, and claims without a replay said why.
        11_213,
        &[
            "space", "outcome", "seed", "q_learning", "predictor", "storage", "strategy",
            "exchange", "dataset", "training", "model", "slurm", "config", "report",
            "regular_file",
        ],
    ),
    (
        "simulate",
        // 1,355 before a replay for claims: all regressors, and Hyperband.
        1_382,
        &[
            "outcome", "seed", "maths", "predictor", "storage", "exchange", "training", "ops",
            "report", "regular_file", "invalid",
        ],
    ),
    // Exit codes follow from the error types of all modules.
    (
        "cli",
        // 1,892 before `benchmark`.
        // 2,142 before man pages, and the time left of `run`.
        // 2,315 before `explain` and `compare`.
        // 2,402 before `reproduce`.
        // 2,484 before a watch went on after damage.
        2_495,
        &[
            "ops", "simulate", "config", "report", "space", "q_learning", "predictor", "seed",
            "strategy", "storage", "dataset", "training", "model", "slurm", "invalid",
        ],
    ),
    // The other program, which links the library as `metaqnn`.
    (
        "torch",
        // 2,025 before the latency of models, on a device that has a name, and weights to begin with.
        2_165,
        &["training", "model", "space", "dataset", "seed", "maths", "regular_file", "invalid"],
    ),
];

/// A file of `src/`, without what is compiled for tests alone.
#[derive(Default)]
struct SourceFile {
    /// Below `src/`.
    path: PathBuf,
    /// Paths that it names, each with `crate`, `self` and `super` resolved to `crate`.
    names: BTreeSet<Vec<String>>,
    /// Types that it defines.
    types: Vec<String>,
    /// Files that it declares as modules for tests.
    test_modules: Vec<String>,
    lines: usize,
}

impl SourceFile {
    /// Its path as a module: `["storage", "log"]`.
    fn module(&self) -> Vec<String> {
        let path = self.path.with_extension("");
        let mut parts: Vec<_> = path.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
        if ["mod", "lib", "main"].contains(&parts.last().unwrap().as_str()) {
            parts.pop();
        }
        parts
    }

    fn layer(&self) -> String {
        self.module().first().cloned().unwrap_or_default()
    }

    fn add(&mut self, name: Vec<String>) {
        let mut at = self.module();
        let mut rest = name.as_slice();
        match rest[0].as_str() {
            "self" => rest = &rest[1..],
            "super" => {
                while rest.first().is_some_and(|part| part == "super") {
                    at.pop();
                    rest = &rest[1..];
                }
            }
            _ => {
                self.names.insert(name);
                return;
            }
        }
        self.names
            .insert(["crate".to_owned()].into_iter().chain(at).chain(rest.to_vec()).collect());
    }

    fn add_tree(&mut self, before: &[String], tree: &syn::UseTree) {
        let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
        match tree {
            syn::UseTree::Path(path) => self.add_tree(&with(&path.ident), &path.tree),
            syn::UseTree::Name(name) => self.add(with(&name.ident)),
            syn::UseTree::Rename(rename) => self.add(with(&rename.ident)),
            syn::UseTree::Glob(_) => self.add([before, &["*".to_owned()]].concat()),
            syn::UseTree::Group(group) => {
                group.items.iter().for_each(|tree| self.add_tree(before, tree));
            }
        }
    }

    /// Paths within the arguments of a macro.
    fn add_tokens(&mut self, tokens: TokenStream) {
        let mut name: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if colons != 2 && !name.is_empty() {
                        self.add(std::mem::take(&mut name));
                    }
                    name.push(ident.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                TokenTree::Group(group) => self.add_tokens(group.stream()),
                _ => colons = 0,
            }
        }
        if !name.is_empty() {
            self.add(name);
        }
    }

    /// Whether a part is compiled for tests alone; its lines are then not counted.
    fn is_of_tests(&mut self, attributes: &[syn::Attribute], part: &impl Spanned) -> bool {
        let is_of_tests = attributes.iter().any(|attribute| {
            attribute.path().is_ident("cfg")
                && attribute.meta.require_list().is_ok_and(|list| {
                    let condition = list.tokens.to_string();
                    condition == "test" || condition.starts_with("all (test")
                })
        });
        if is_of_tests {
            let span = part.span();
            self.lines -= span.end().line - span.start().line + 1;
        }
        is_of_tests
    }
}

impl<'a> Visit<'a> for SourceFile {
    fn visit_item(&mut self, item: &'a syn::Item) {
        let attributes = match item {
            syn::Item::Mod(module) => &module.attrs,
            syn::Item::Fn(function) => &function.attrs,
            syn::Item::Use(used) => &used.attrs,
            syn::Item::Impl(block) => &block.attrs,
            syn::Item::Struct(defined) => &defined.attrs,
            syn::Item::Enum(defined) => &defined.attrs,
            syn::Item::Const(constant) => &constant.attrs,
            syn::Item::Static(constant) => &constant.attrs,
            _ => return visit::visit_item(self, item),
        };
        if !self.is_of_tests(attributes, item) {
            match item {
                syn::Item::Struct(defined) => self.types.push(defined.ident.to_string()),
                syn::Item::Enum(defined) => self.types.push(defined.ident.to_string()),
                _ => {}
            }
            visit::visit_item(self, item);
        } else if let syn::Item::Mod(module) = item {
            self.test_modules.push(module.ident.to_string());
        }
    }

    fn visit_item_trait(&mut self, defined: &'a syn::ItemTrait) {
        self.types.push(defined.ident.to_string());
        visit::visit_item_trait(self, defined);
    }

    fn visit_impl_item_fn(&mut self, function: &'a syn::ImplItemFn) {
        if !self.is_of_tests(&function.attrs, function) {
            visit::visit_impl_item_fn(self, function);
        }
    }

    fn visit_item_use(&mut self, used: &'a syn::ItemUse) {
        self.add_tree(&[], &used.tree);
    }

    fn visit_path(&mut self, path: &'a syn::Path) {
        self.add(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        visit::visit_path(self, path);
    }

    fn visit_expr_method_call(&mut self, call: &'a syn::ExprMethodCall) {
        self.add(vec![call.method.to_string()]);
        visit::visit_expr_method_call(self, call);
    }

    fn visit_macro(&mut self, called: &'a syn::Macro) {
        self.add_tokens(called.tokens.clone());
        visit::visit_macro(self, called);
    }
}

fn sources() -> Vec<SourceFile> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let path = path.strip_prefix(&root).unwrap().to_owned();
                let mut source =
                    SourceFile { path, lines: text.lines().count(), ..SourceFile::default() };
                source.visit_file(&syn::parse_file(&text).unwrap());
                found.push(source);
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    let of_tests: Vec<Vec<String>> = found
        .iter()
        .flat_map(|source| {
            source.test_modules.iter().map(|name| [source.module(), vec![name.clone()]].concat())
        })
        .collect();
    found.retain(|source| !of_tests.iter().any(|module| source.module().starts_with(module)));
    found
}

fn layer(name: &str) -> Option<&'static (&'static str, usize, &'static [&'static str])> {
    MODULES.iter().find(|(module, ..)| *module == name)
}

#[test]
fn every_module_uses_only_the_modules_below_it() {
    for source in sources() {
        let name = source.layer();
        let Some((_, _, allowed)) = layer(&name) else {
            assert!(["", "lib", "main"].contains(&name.as_str()), "unknown module `{name}`");
            continue;
        };
        let library = if name == "torch" { "metaqnn" } else { "crate" };
        for used in source.names.iter().filter(|used| used[0] == library && used.len() > 1) {
            let is_layer = library == "metaqnn" || layer(&used[1]).is_some();
            assert!(
                !is_layer || used[1] == name || allowed.contains(&used[1].as_str()),
                "src/{} uses `{}`, which is not below `{name}`",
                source.path.display(),
                used.join("::")
            );
        }
    }
}

#[test]
fn every_module_keeps_to_its_budget_of_lines() {
    let mut lines = BTreeMap::<String, usize>::new();
    for source in sources() {
        *lines.entry(source.layer()).or_default() += source.lines;
    }
    for (name, budget, _) in MODULES {
        let lines = lines[*name];
        assert!(lines <= *budget, "src/{name} has {lines} lines without tests, of {budget}");
    }
}

#[test]
fn effects_stay_in_their_modules() {
    for source in sources() {
        let (path, name) = (source.path.as_path(), source.layer());
        let forbid = |word: &str, is_allowed: bool| {
            let word: Vec<_> = word.split("::").collect();
            let is_used = source.names.iter().any(|used| {
                let used: Vec<_> = used.iter().map(String::as_str).collect();
                if word.len() > 1 {
                    used.windows(word.len()).any(|part| part == word)
                } else {
                    used[0] == word[0]
                }
            });
            assert!(is_allowed || !is_used, "src/{} uses `{}`", path.display(), word.join("::"));
        };
        forbid("tch", name == "torch");
        forbid("fs2", path == Path::new("storage/fs/lock.rs"));
        // A derive on the options of an operation only describes them.
        forbid("clap", ["cli", "ops", "simulate", "exchange", "torch"].contains(&name.as_str()));
        // Anything but a regular file in the place of one is waited for, or read without an end.
        for opening in [
            "File::open", "File::create", "fs::read", "fs::read_to_string", "fs::read_dir",
            "read_dir", "fs::remove_dir_all",
        ] {
            forbid(opening, name == "regular_file");
        }
        // Test images are read to answer `evaluate` and by nothing else: no search depends on them.
        let may_test = ["dataset/load.rs", "dataset/mod.rs", "torch/evaluate.rs"];
        forbid("load_test_images", may_test.iter().any(|file| path == Path::new(file)));
        let may_digest = ["dataset/fingerprint.rs", "ops/finalize/test.rs"];
        forbid("Fingerprint::of_test_files", may_digest.iter().any(|it| path == Path::new(it)));
        let may_start_programs = name == "slurm" || path == Path::new("training/child.rs");
        forbid("process::Command", may_start_programs);
        let is_pure = ["space", "q_learning", "predictor", "strategy", "outcome", "seed", "maths"];
        for effect in ["std::fs", "std::process", "std::env", "SystemTime", "Instant::now", "log"] {
            forbid(effect, !is_pure.contains(&name.as_str()));
        }
    }
}

#[test]
fn no_files_use_one_another_in_a_circle() {
    let sources = sources();
    let files: BTreeMap<_, _> =
        sources.iter().enumerate().map(|(index, source)| (source.module(), index)).collect();
    // The file that a path leads to; `mod.rs` only declares and exports.
    let file_of = |name: &[String]| {
        let longest = (1..=name.len()).rev().find_map(|n| files.get(&name[..n])).copied()?;
        (!sources[longest].path.ends_with("mod.rs")).then_some(longest)
    };
    let used: Vec<BTreeSet<usize>> = sources
        .iter()
        .enumerate()
        .map(|(index, source)| {
            let names = source.names.iter().filter(|name| name[0] == "crate" && name.len() > 1);
            names.filter_map(|name| file_of(&name[1..])).filter(|&file| file != index).collect()
        })
        .collect();
    let reached = |from: usize| {
        let mut reached = BTreeSet::new();
        let mut open: Vec<usize> = used[from].iter().copied().collect();
        while let Some(file) = open.pop() {
            if reached.insert(file) {
                open.extend(&used[file]);
            }
        }
        reached
    };
    let reached: Vec<_> = (0..sources.len()).map(reached).collect();
    let circles: BTreeSet<Vec<_>> = (0..sources.len())
        .filter(|&file| reached[file].contains(&file))
        .map(|file| {
            let others = reached[file].iter().filter(|&&other| reached[other].contains(&file));
            others.map(|&other| sources[other].path.display().to_string()).collect()
        })
        .collect();
    assert!(circles.is_empty(), "{circles:#?}");
}

#[test]
fn no_type_name_has_two_meanings() {
    let mut defined = BTreeMap::<String, Vec<PathBuf>>::new();
    for source in sources() {
        for name in source.types {
            defined.entry(name).or_default().push(source.path.clone());
        }
    }
    defined.retain(|_, places| places.len() > 1);
    assert!(defined.is_empty(), "{defined:#?}");
}
