//! Where to train: the GPU that the scheduler allotted, or the CPU.

use std::path::{Path, PathBuf};

use itertools::Itertools;
use metaqnn::regular_file::{self, SMALL};
use metaqnn::training::protocol::THE_CPU;
use metaqnn::training::{self, Precision};
use tch::Cuda;

use super::error::TorchError;

/// A GPU that is asked for or was allotted (by the variables of the scheduler) and not seen is an
/// error: the CPU would waste the allocation for hours.
pub fn choose_device(
    wanted: training::Device,
    has_gpu: bool,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<tch::Device, TorchError> {
    // `SLURM_JOB_GPUS` is set even where the other is not.
    let names_gpus =
        |name| variable(name).is_some_and(|value| !matches!(&*value, "" | "-1" | "NoDevFiles"));
    let wanted_by = match wanted {
        training::Device::Cpu => return Ok(tch::Device::Cpu),
        // The first of the visible ones: CUDA_VISIBLE_DEVICES renumbers them.
        _ if has_gpu => return Ok(tch::Device::Cuda(0)),
        training::Device::Cuda => "`training.device` is `cuda`",
        _ if names_gpus("CUDA_VISIBLE_DEVICES") => "`CUDA_VISIBLE_DEVICES` names a GPU",
        _ if names_gpus("SLURM_JOB_GPUS") => "`SLURM_JOB_GPUS` names a GPU",
        training::Device::Auto => return Ok(tch::Device::Cpu),
    };
    Err(TorchError::NoDevice(format!(
        "{wanted_by}, but libtorch sees no GPU (check `nvidia-smi` and its driver version, and \
         that libtorch is the CUDA build: scripts/setup-libtorch.sh --cuda; to train on the CPU \
         set `training.device: cpu`)"
    )))
}

/// Names a device for people: `the CPU (AMD EPYC 7763, 2 threads)`.
pub fn describe(device: tch::Device) -> String {
    if device == tch::Device::Cpu {
        let kind = kind(&["/proc/cpuinfo".into()], "model name");
        return format!("{THE_CPU} ({kind}{} threads)", tch::get_num_threads());
    }
    let folder = Path::new("/proc/driver/nvidia/gpus");
    let numbers = regular_file::names(folder).unwrap_or_default().into_iter();
    let files = numbers.map(|number| folder.join(number).join("information")).collect_vec();
    let visible = Cuda::device_count();
    format!("a GPU ({}{device:?}, of {visible} visible)", kind(&files, "Model"))
}

/// The value of lines like `Model: NVIDIA H200`, where all are the same: which GPU is the visible
/// one is not said there.
fn kind(files: &[PathBuf], key: &str) -> String {
    let texts = files.iter().filter_map(|path| regular_file::read(path, SMALL).ok());
    let text = texts.map(|text| String::from_utf8_lossy(&text).into_owned()).join("\n");
    let pairs = text.lines().filter_map(|line| line.split_once(':'));
    let mut values = pairs.filter(|(name, _)| name.trim() == key).map(|(_, value)| value.trim());
    values.all_equal_value().map(|kind| format!("{kind}, ")).unwrap_or_default()
}

/// Says what libtorch does otherwise than asked; it reads these variables when it loads.
pub fn precision_notice(
    precision: Precision,
    variable: impl Fn(&str) -> Option<String>,
) -> Option<&'static str> {
    let is = |name, value| variable(name).as_deref() == Some(value);
    match precision {
        Precision::Float32 if !is("NVIDIA_TF32_OVERRIDE", "0") => Some(
            "convolutions use TF32 on this GPU (set NVIDIA_TF32_OVERRIDE=0 for 32 bits throughout)",
        ),
        Precision::Tf32 if !is("TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", "1") => Some(
            "convolutions use TF32, dense layers do not (set TORCH_ALLOW_TF32_CUBLAS_OVERRIDE=1)",
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use training::Device::{Auto, Cpu, Cuda};

    fn device(
        gpu: bool,
        visible: Option<&str>,
        job: Option<&str>,
        wanted: training::Device,
    ) -> Result<tch::Device, String> {
        let variable = |name: &str| match name {
            "CUDA_VISIBLE_DEVICES" => visible.map(str::to_owned),
            _ => job.map(str::to_owned),
        };
        choose_device(wanted, gpu, variable).map_err(|error| error.to_string())
    }

    #[test]
    fn without_a_gpu_and_without_an_allotment_the_cpu_trains() {
        assert_eq!(device(false, None, None, Auto), Ok(tch::Device::Cpu));
        assert_eq!(device(false, Some(""), None, Auto), Ok(tch::Device::Cpu));
        assert_eq!(device(false, Some("NoDevFiles"), None, Auto), Ok(tch::Device::Cpu));
        assert_eq!(device(true, None, None, Auto), Ok(tch::Device::Cuda(0)));
    }

    #[test]
    fn a_gpu_job_that_sees_no_gpu_fails_loudly() {
        let refusal = |visible, job, wanted| device(false, visible, job, wanted).unwrap_err();
        assert!(refusal(None, None, Cuda).contains("`training.device` is `cuda`"));
        assert!(refusal(Some("0"), None, Auto).contains("`CUDA_VISIBLE_DEVICES` names a GPU"));
        assert!(refusal(None, Some("3"), Auto).contains("`SLURM_JOB_GPUS` names a GPU"));
    }

    #[test]
    fn the_cpu_is_taken_when_asked_for() {
        assert_eq!(device(true, Some("0"), Some("0"), Cpu), Ok(tch::Device::Cpu));
    }

    #[test]
    fn what_libtorch_does_otherwise_is_said() {
        let none = |_: &str| None;
        assert!(
            precision_notice(Precision::Float32, none).unwrap().contains("NVIDIA_TF32_OVERRIDE=0")
        );
        assert!(precision_notice(Precision::Tf32, none).is_some());
        assert_eq!(precision_notice(Precision::Bfloat16, none), None);
        assert_eq!(precision_notice(Precision::Float32, |_| Some("0".into())), None);
    }

    #[test]
    fn a_device_is_named_by_its_kind_where_all_are_of_one() {
        let folder = tempfile::tempdir().unwrap();
        let files = ["NVIDIA H200", "NVIDIA H200", "NVIDIA A100"].into_iter().enumerate();
        let files = files.map(|(number, kind)| {
            let path = folder.path().join(number.to_string());
            std::fs::write(&path, format!("Model: \t\t {kind}\nIRQ:   {number}\n")).unwrap();
            path
        });
        let files = files.collect_vec();
        assert_eq!(kind(&files[..2], "Model"), "NVIDIA H200, ");
        assert_eq!(
            (kind(&files, "Model"), kind(&files, "model name")),
            (String::new(), String::new())
        );
        assert!(describe(tch::Device::Cpu).ends_with(" threads)"));
    }
}
