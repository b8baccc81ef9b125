//! Where to train: the GPU that the scheduler allotted, or the CPU.

use metaqnn::training::{self, Precision};

use super::error::TorchError;

#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    pub gpu: bool,
    /// `CUDA_VISIBLE_DEVICES`, which the scheduler sets and CUDA itself obeys.
    pub visible_devices: Option<String>,
    /// `SLURM_JOB_GPUS`: the GPUs of the job, set even where the other is not.
    pub slurm_job_gpus: Option<String>,
}

impl Surroundings {
    pub fn here() -> Self {
        Self {
            gpu: tch::Cuda::is_available(),
            visible_devices: std::env::var("CUDA_VISIBLE_DEVICES").ok(),
            slurm_job_gpus: std::env::var("SLURM_JOB_GPUS").ok(),
        }
    }

    pub fn device(&self, wanted: training::Device) -> Result<tch::Device, TorchError> {
        match (wanted, self.gpu) {
            (training::Device::Cpu, _) => Ok(tch::Device::Cpu),
            // The first of the visible ones: CUDA_VISIBLE_DEVICES renumbers them.
            (training::Device::Auto | training::Device::Cuda, true) => Ok(tch::Device::Cuda(0)),
            (training::Device::Cuda, false) => Err(no_gpu("`training.device` is `cuda`")),
            (training::Device::Auto, false) => match self.allotted() {
                Some(by) => Err(no_gpu(by)),
                None => Ok(tch::Device::Cpu),
            },
        }
    }

    fn allotted(&self) -> Option<&'static str> {
        // `-1` and Slurm's `NoDevFiles` mean: none.
        let names_gpus = |variable: &Option<String>| {
            variable.as_deref().is_some_and(|value| !matches!(value, "" | "-1" | "NoDevFiles"))
        };
        if names_gpus(&self.visible_devices) {
            Some("`CUDA_VISIBLE_DEVICES` names a GPU")
        } else if names_gpus(&self.slurm_job_gpus) {
            Some("`SLURM_JOB_GPUS` names a GPU")
        } else {
            None
        }
    }
}

const fn no_gpu(wanted: &'static str) -> TorchError {
    TorchError::NoGpu {
        wanted,
        remedy: "check `nvidia-smi` and its driver version, and that libtorch is the CUDA build: \
                 scripts/setup-libtorch.sh --cuda; to train on the CPU set `training.device: cpu`",
    }
}

/// Says what of a precision libtorch does otherwise than asked; it reads these variables when it
/// loads, and tch has no switch for them.
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
        let surroundings = Surroundings {
            gpu,
            visible_devices: visible.map(str::to_owned),
            slurm_job_gpus: job.map(str::to_owned),
        };
        surroundings.device(wanted).map_err(|error| error.to_string())
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
}
