//! The next step of a submitter, by what it sees of a round: checked over all interleavings.

/// What a submitter reads, in this order: the rendering that holds and its `array.yaml`, the queue,
/// `jobs.yaml`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct Seen {
    /// The number of the rendering; 0 when there is none.
    pub rendering: u32,
    pub arrays: Arrays,
    pub has_jobs_file: bool,
    /// Whether any job has the round's name.
    pub has_queued_jobs: bool,
}

/// The arrays of a rendering by `array.yaml` and the queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) enum Arrays {
    #[default]
    Unnamed,
    /// It names none since the round has no tasks.
    None,
    /// It names arrays that are in the queue.
    Live,
    /// Those that it names are gone, or it says that the rendering was withdrawn.
    Gone,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Step {
    Render(u32),
    /// Create an `array.yaml` that names no array. A submitter does so once: two of them could
    /// otherwise replace each other's rendering for ever.
    Withdraw,
    /// Test the request, hold the arrays, and create `array.yaml`.
    HoldArrays,
    QueueReduces,
    /// Release the arrays that `array.yaml` names, cancel others.
    Release,
}

impl Seen {
    /// No job of the rendering exists, and none was named.
    pub const fn may_give_way(&self) -> bool {
        let is_open = matches!(self.arrays, Arrays::Unnamed | Arrays::None) && !self.has_jobs_file;
        self.rendering > 0 && is_open && !self.has_queued_jobs
    }
}

/// `differs`: something else would be rendered now. An array that was named, then gone, and then
/// without `jobs.yaml` never ran, since that file is created before an array is released.
pub(crate) const fn next_step(seen: &Seen, differs: bool) -> Step {
    if seen.rendering == 0 {
        return Step::Render(1);
    }
    if seen.has_jobs_file {
        return Step::Release;
    }
    let gives_way = differs && seen.may_give_way();
    match seen.arrays {
        Arrays::Unnamed if gives_way => Step::Withdraw,
        Arrays::Unnamed => Step::HoldArrays,
        Arrays::None if !gives_way => Step::QueueReduces,
        Arrays::None | Arrays::Gone => Step::Render(seen.rendering + 1),
        Arrays::Live => Step::QueueReduces,
    }
}

#[cfg(test)]
mod tests {
    //! Every interleaving of submitters that may want different renderings and die anywhere, and of
    //! a person who cancels.
    use super::*;
    use std::collections::HashSet;

    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    enum Job {
        Held,
        Runs,
        /// Cancelled, or ended.
        Gone,
    }

    #[derive(Debug, Clone, PartialEq, Eq, Hash)]
    struct Array {
        job: Job,
        has_run: bool,
    }

    #[derive(Debug, Clone, PartialEq, Eq, Hash)]
    struct Rendering {
        /// What it asks for.
        version: u8,
        /// `array.yaml`, if it is there: the array, or none for one that was withdrawn.
        array: Option<Option<usize>>,
        has_jobs_file: bool,
    }

    /// Where a process is between two instructions that others can see.
    #[derive(Debug, Clone, PartialEq, Eq, Hash)]
    enum At {
        Start,
        /// It has read which rendering holds, and its array.
        HasFiles(u32, Option<Option<usize>>),
        /// It has asked for the queue besides.
        HasQueue(Seen),
        /// It is about to take this step for this rendering.
        Takes(Step, u32),
        /// Its array is held.
        Holds(u32, usize),
        Released(u32),
        /// It knows which arrays were in the queue.
        Cleans(u32, Vec<usize>),
        Ended,
    }

    #[derive(Debug, Clone, PartialEq, Eq, Hash)]
    struct Submitter {
        at: At,
        wants: u8,
        may_render: bool,
        held: Option<u32>,
    }

    #[derive(Debug, Clone, PartialEq, Eq, Hash)]
    struct World {
        renderings: Vec<Rendering>,
        arrays: Vec<Array>,
        submitters: Vec<Submitter>,
        crashes: u8,
        /// What `metaqnn cancel` has still to do: withdraw and cancel, cancel, nothing.
        cancel: u8,
    }

    impl World {
        fn new(wants: &[u8], crashes: u8, cancels: bool) -> Self {
            let submitter =
                |&wants: &u8| Submitter { at: At::Start, wants, may_render: true, held: None };
            Self {
                renderings: Vec::new(),
                arrays: Vec::new(),
                submitters: wants.iter().map(submitter).collect(),
                crashes,
                cancel: if cancels { 2 } else { 0 },
            }
        }

        fn newest(&self) -> u32 {
            u32::try_from(self.renderings.len()).unwrap()
        }

        fn of(&mut self, number: u32) -> &mut Rendering {
            &mut self.renderings[number as usize - 1]
        }

        fn queue(&self) -> Vec<usize> {
            (0..self.arrays.len()).filter(|&array| self.arrays[array].job != Job::Gone).collect()
        }

        fn end(&mut self, array: usize) {
            self.arrays[array].job = Job::Gone;
        }

        /// All worlds that one more instruction leads to.
        fn next(&self) -> Vec<Self> {
            let mut next = Vec::new();
            for index in 0..self.submitters.len() {
                if self.submitters[index].at == At::Ended {
                    continue;
                }
                let mut world = self.clone();
                world.advance(index);
                next.push(world);
                if self.crashes > 0 {
                    let mut world = self.clone();
                    world.submitters[index].at = At::Ended;
                    world.crashes -= 1;
                    next.push(world);
                }
            }
            for array in self.queue() {
                if self.arrays[array].job == Job::Runs {
                    let mut world = self.clone();
                    world.end(array);
                    next.push(world);
                }
            }
            if self.cancel > 0 {
                let mut world = self.clone();
                world.cancel -= 1;
                if self.cancel == 1 {
                    world.queue().into_iter().for_each(|array| world.end(array));
                } else if let Some(rendering) = world.renderings.last_mut() {
                    rendering.array.get_or_insert(None);
                }
                next.push(world);
            }
            next
        }

        fn advance(&mut self, index: usize) {
            let mut me = self.submitters[index].clone();
            me.at = match me.at.clone() {
                At::Start => {
                    At::HasFiles(self.newest(), self.renderings.last().and_then(|last| last.array))
                }
                At::HasFiles(rendering, array) => {
                    let queue = self.queue();
                    let arrays = match array {
                        None => Arrays::Unnamed,
                        Some(Some(_)) if me.held == Some(rendering) => Arrays::Live,
                        Some(Some(array)) if queue.contains(&array) => Arrays::Live,
                        Some(_) => Arrays::Gone,
                    };
                    let has_queued_jobs = !queue.is_empty();
                    At::HasQueue(Seen { rendering, arrays, has_queued_jobs, has_jobs_file: false })
                }
                At::HasQueue(mut seen) => {
                    let mut differs = false;
                    if seen.rendering > 0 {
                        let rendering = self.of(seen.rendering);
                        seen.has_jobs_file = rendering.has_jobs_file;
                        differs = me.may_render && rendering.version != me.wants;
                    }
                    At::Takes(next_step(&seen, differs), seen.rendering)
                }
                At::Takes(Step::Render(number), _) => {
                    if self.newest() < number {
                        assert_eq!(self.newest() + 1, number, "no rendering is left out: {self:?}");
                        let (version, array) = (me.wants, None);
                        self.renderings.push(Rendering { version, array, has_jobs_file: false });
                    }
                    me.may_render = false;
                    At::Start
                }
                At::Takes(Step::Withdraw, number) => {
                    self.of(number).array.get_or_insert(None);
                    me.may_render = false;
                    At::Start
                }
                At::Takes(Step::HoldArrays, number) => {
                    self.arrays.push(Array { job: Job::Held, has_run: false });
                    At::Holds(number, self.arrays.len() - 1)
                }
                At::Holds(number, mine) => {
                    if *self.of(number).array.get_or_insert(Some(mine)) == Some(mine) {
                        me.held = Some(number);
                    } else {
                        self.end(mine);
                    }
                    At::Start
                }
                At::Takes(Step::QueueReduces, number) => {
                    self.of(number).has_jobs_file = true;
                    At::Start
                }
                At::Takes(Step::Release, number) => {
                    if let Some(Some(array)) = self.of(number).array
                        && self.arrays[array].job == Job::Held
                    {
                        self.arrays[array] = Array { job: Job::Runs, has_run: true };
                    }
                    At::Released(number)
                }
                At::Released(number) => At::Cleans(number, self.queue()),
                At::Cleans(number, queue) => {
                    let named = self.of(number).array.flatten();
                    let is_newest = self.newest() == number;
                    for array in
                        queue.into_iter().filter(|array| is_newest && Some(*array) != named)
                    {
                        self.end(array);
                    }
                    At::Ended
                }
                At::Ended => At::Ended,
            };
            self.submitters[index] = me;
        }

        fn runs(&self) -> usize {
            self.arrays.iter().filter(|array| array.has_run).count()
        }
    }

    /// Walks through every interleaving; returns how many worlds there are.
    fn explore(start: World) -> usize {
        let is_calm = start.crashes == 0 && start.cancel == 0;
        let (mut seen, mut open) = (HashSet::from([start.clone()]), vec![start]);
        while let Some(world) = open.pop() {
            assert!(world.runs() <= 1, "a round runs twice: {world:?}");
            if is_calm && world.submitters.iter().all(|submitter| submitter.at == At::Ended) {
                assert_eq!(world.runs(), 1, "a round does not run: {world:?}");
                let is_held = |array: &Array| array.job == Job::Held;
                assert!(!world.arrays.iter().any(is_held), "an array stays held: {world:?}");
            }
            open.extend(world.next().into_iter().filter(|next| seen.insert(next.clone())));
        }
        seen.len()
    }

    #[test]
    fn a_round_runs_once_for_all_submitters_and_crashes() {
        for wants in [[1, 1], [1, 2]] {
            assert!(explore(World::new(&wants, 2, false)) > 1000);
        }
    }

    #[test]
    fn a_round_that_is_cancelled_meanwhile_runs_once_at_most() {
        assert!(explore(World::new(&[1, 1], 0, true)) > 1000);
    }

    #[test]
    fn submitters_that_finish_leave_no_array_held() {
        assert!(explore(World::new(&[1, 2], 0, false)) > 1000);
    }
}
