//! The choice of the kernels' instruction set.

use crate::error::{Result, shape};
use std::cell::Cell;
use std::sync::OnceLock;

/// An instruction set for which every kernel is compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Isa {
    /// Plain Rust, for any processor.
    Portable,
    /// AVX2 and FMA.
    Avx2,
    /// AVX-512 F, BW, DQ and VL.
    Avx512,
}

impl Isa {
    /// All of them, the slowest first.
    pub const ALL: [Isa; 3] = [Isa::Portable, Isa::Avx2, Isa::Avx512];

    /// Its name, as `GLAD_ISA` spells it.
    pub fn name(self) -> &'static str {
        match self {
            Isa::Portable => "portable",
            Isa::Avx2 => "avx2",
            Isa::Avx512 => "avx512",
        }
    }

    /// Whether this processor can run it.
    pub fn is_available(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::is_x86_feature_detected as has;
            let avx2 = has!("avx2") && has!("fma");
            match self {
                Isa::Portable => true,
                Isa::Avx2 => avx2,
                Isa::Avx512 => avx2 && has!("avx512f") && has!("avx512bw") && has!("avx512dq") && has!("avx512vl"),
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            self == Isa::Portable
        }
    }

    /// Those that this processor can run, the slowest first.
    pub fn available() -> impl Iterator<Item = Isa> {
        Isa::ALL.into_iter().filter(|isa| isa.is_available())
    }
}

impl std::fmt::Display for Isa {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

thread_local! {
    static FORCED: Cell<Option<Isa>> = const { Cell::new(None) };
}

fn choose(asked: Option<&str>) -> Result<Isa> {
    let best = Isa::available().last().unwrap_or(Isa::Portable);
    let Some(name) = asked.map(str::trim).filter(|name| !name.is_empty()) else {
        return Ok(best);
    };
    let Some(isa) = Isa::ALL.into_iter().find(|isa| isa.name() == name) else {
        return Err(shape(
            "GLAD_ISA",
            format!("no instruction set is called `{name}`: use avx512, avx2 or portable"),
        ));
    };
    if isa.is_available() {
        Ok(isa)
    } else {
        Err(shape(
            "GLAD_ISA",
            format!("this processor has no `{name}`; the best it has is `{best}`"),
        ))
    }
}

/// The instruction set of this program: the best that the processor has, or the one that the environment variable
/// `GLAD_ISA` (`avx512`, `avx2`, `portable`) names; it is read once.
///
/// # Errors
/// `GLAD_ISA` names no instruction set, or one that the processor lacks. A program calls this once when it starts.
pub fn detect() -> Result<Isa> {
    static GLOBAL: OnceLock<Result<Isa>> = OnceLock::new();
    GLOBAL
        .get_or_init(|| choose(std::env::var("GLAD_ISA").ok().as_deref()))
        .clone()
}

/// The instruction set for the calls of this thread: what [`with`] forces, else [`detect`], else (where
/// `GLAD_ISA` is wrong) the best that the processor has.
pub fn current() -> Isa {
    FORCED
        .get()
        .unwrap_or_else(|| detect().unwrap_or_else(|_| Isa::available().last().unwrap_or(Isa::Portable)))
}

/// Runs `body` with the instruction set forced for the calls that this thread makes inside it; an instruction set that
/// the processor lacks falls back to [`Isa::Portable`]. Made for tests.
pub fn with<R>(isa: Isa, body: impl FnOnce() -> R) -> R {
    struct Restore(Option<Isa>);
    impl Drop for Restore {
        fn drop(&mut self) {
            FORCED.set(self.0);
        }
    }
    let isa = if isa.is_available() { isa } else { Isa::Portable };
    let _restore = Restore(FORCED.replace(Some(isa)));
    body()
}

/// Compiles a function of plain loops once per instruction set; the function gets a first argument `isa`.
macro_rules! per_isa {
    ($(#[$meta:meta])* fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments)]
        fn $name(isa: $crate::isa::Isa, $($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            #[allow(clippy::too_many_arguments)]
            fn body($($arg: $ty),*) $(-> $ret)? $body
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
            #[allow(clippy::too_many_arguments)]
            fn avx512($($arg: $ty),*) $(-> $ret)? { body($($arg),*) }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            #[allow(clippy::too_many_arguments)]
            fn avx2($($arg: $ty),*) $(-> $ret)? { body($($arg),*) }
            match isa {
                // SAFETY: an `Isa` other than `Portable` is only ever handed out where the processor has it.
                #[cfg(target_arch = "x86_64")]
                $crate::isa::Isa::Avx512 => unsafe { avx512($($arg),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                $crate::isa::Isa::Avx2 => unsafe { avx2($($arg),*) },
                _ => body($($arg),*),
            }
        }
    };
}
pub(crate) use per_isa;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_names_an_instruction_set() {
        assert_eq!(choose(Some("portable")), Ok(Isa::Portable));
        assert_eq!(choose(Some(" ")), choose(None));
        let message = choose(Some("sse9")).unwrap_err().to_string();
        assert!(message.contains("sse9") && message.contains("portable"), "{message}");
    }

    #[test]
    fn forcing_is_undone() {
        let before = current();
        with(Isa::Portable, || assert_eq!(current(), Isa::Portable));
        assert_eq!(current(), before);
    }
}
