//! Checks on finalising a descriptor, and the attributes computed then.

use super::*;

impl Descriptor {
    pub(super) fn longs(&self, name: u32) -> Result<&[i64], String> {
        match self.attributes.get(&name) {
            Some(Value::Longs(v)) => Ok(v),
            _ => Err(format!("attribute {name} is missing")),
        }
    }

    pub(super) fn word(&self, name: u32) -> Result<u32, String> {
        match self.attributes.get(&name) {
            Some(Value::Words(v)) => Ok(v[0]),
            _ => Err(format!("attribute {name} is missing")),
        }
    }

    pub(super) fn float(&self, name: u32) -> Result<f32, String> {
        match self.attributes.get(&name) {
            Some(Value::Float(v)) => Ok(*v),
            _ => Err(format!("attribute {name} is missing")),
        }
    }

    pub(super) fn child(&self, name: u32, kind: u32) -> Result<&Arc<Descriptor>, String> {
        match self.attributes.get(&name) {
            Some(Value::Child(v)) if v.kind == kind => Ok(v),
            Some(_) => Err(format!("attribute {name} is another kind of descriptor")),
            None => Err(format!("attribute {name} is missing")),
        }
    }

    /// The sizes of a tensor, after a check of its strides: channels are last.
    pub(super) fn sizes(&self) -> Result<[usize; 5], String> {
        let sizes = self.longs(902)?;
        let strides = self.longs(903)?;
        if !(4..=5).contains(&sizes.len()) || strides.len() != sizes.len() || sizes.iter().any(|&s| s < 1) {
            return Err(format!("sizes {sizes:?} with strides {strides:?}"));
        }
        let mut step = 1;
        for axis in [1].into_iter().chain((2..sizes.len()).rev()).chain([0]) {
            if strides[axis] != step {
                return Err(format!(
                    "the strides {strides:?} of {sizes:?} are not those of channels last"
                ));
            }
            step *= sizes[axis];
        }
        let mut all = [1; 5];
        all[..2].copy_from_slice(&[sizes[0] as usize, sizes[1] as usize]);
        for (to, &from) in all[5 - (sizes.len() - 2)..].iter_mut().zip(&sizes[2..]) {
            *to = from as usize;
        }
        Ok(all)
    }

    /// The convolution of an operation.
    pub(super) fn operation(&self) -> Result<Conv, String> {
        let (pass, first, [x, w, y]) = match self.kind {
            FORWARD => (Pass::Forward, 700, [704, 703, 705]),
            DATA => (Pass::Data, 706, [710, 709, 711]),
            _ => (Pass::Filter, 712, [716, 715, 717]),
        };
        let conv = self.child(first + 2, CONVOLUTION)?;
        let tensors = [x, w, y].map(|name| self.child(name, TENSOR));
        let [x, w, y] = [tensors[0].clone()?, tensors[1].clone()?, tensors[2].clone()?];
        for (tensor, id) in [(x, 1), (w, 2), (y, 3)] {
            if tensor.longs(906)? != [id] {
                return Err("the emulated cuDNN takes tensors 1, 2 and 3".into());
            }
        }
        let types = [x.word(901)?, w.word(901)?, y.word(901)?];
        let bf = match types {
            [0, 0, 0] => false,
            [9, 9, 9] => true,
            other => return Err(format!("types of data {other:?}")),
        };
        let alignment = x.longs(900)?[0].min(w.longs(900)?[0]).min(y.longs(900)?[0]);
        let axes = usize::try_from(conv.longs(106)?[0]).unwrap_or(0);
        if !(2..=3).contains(&axes) || x.longs(902)?.len() != axes + 2 {
            return Err(format!("{axes} axes"));
        }
        if conv.word(100)? != 0 || conv.word(101)? != 1 {
            return Err("sums are 32-bit floats, and the mode is cross-correlation".into());
        }
        let along = |name: u32, fill: usize| -> Result<[usize; 3], String> {
            let values = conv.longs(name)?;
            if values.len() != axes {
                return Err(format!("attribute {name} has {} values for {axes} axes", values.len()));
            }
            let mut all = [fill; 3];
            for (to, &from) in all[3 - axes..].iter_mut().zip(values) {
                *to = usize::try_from(from).map_err(|e| e.to_string())?;
            }
            Ok(all)
        };
        let (stride, pad, pad_end, dilation) = (along(103, 1)?, along(105, 0)?, along(104, 0)?, along(102, 1)?);
        let (x, w, y) = (x.sizes()?, w.sizes()?, y.sizes()?);
        let fits = (0..3).all(|a| {
            let reach = dilation[a] * (w[a + 2] - 1) + 1;
            let padded = x[a + 2] + pad[a] + pad_end[a];
            padded >= reach && y[a + 2] == (padded - reach) / stride[a] + 1
        });
        let groups = x[1] / w[1];
        if !fits || x[0] != y[0] || y[1] != w[0] || x[1] % w[1] != 0 || groups == 0 || w[0] % groups != 0 {
            return Err(format!("sizes do not fit: {x:?}, {w:?}, {y:?}"));
        }
        Ok(Conv {
            pass,
            x,
            w,
            y,
            stride,
            pad,
            dilation,
            bf,
            tf32: false,
            alpha: self.float(first)?,
            beta: self.float(first + 1)?,
            alignment: alignment as u64,
        })
    }

    /// Checks the descriptor and derives its values from its parts.
    pub(super) fn finish(&mut self) -> Result<(), String> {
        match self.kind {
            TENSOR => {
                self.sizes()?;
                self.word(901)?;
                self.longs(900)?;
                self.longs(906)?;
            }
            CONVOLUTION => {
                self.longs(106)?;
            }
            FORWARD | DATA | FILTER => self.conv = Some(self.operation()?),
            GRAPH => {
                self.longs(800)?;
                self.conv = match self.attributes.get(&801) {
                    Some(Value::Child(operation)) => operation.conv.clone(),
                    _ => return Err("a graph without operations".into()),
                };
            }
            ENGINEHEUR => {
                self.word(200)?;
                self.conv = self.child(201, GRAPH)?.conv.clone();
            }
            PLAN => {
                self.longs(400)?;
                let config = self.child(401, ENGINECFG)?.clone();
                self.engine = config.engine;
                self.conv = config.conv.clone();
                let engine = self.engine.ok_or("a configuration without an engine")?;
                // On a GPU engines without tensor cores would be slower; here time does not show it.
                let slow = self.conv.as_ref().is_some_and(|c| c.bf) && !engine.notes.contains(&TENSOR_CORE);
                if engine.refuses || slow {
                    return Err(format!("engine {} does not take it", engine.number));
                }
                if let Some(conv) = &mut self.conv {
                    conv.tf32 = !conv.bf && engine.notes.contains(&TENSOR_CORE);
                }
            }
            PACK => {
                let (ids, at) = (self.longs(1000)?, self.longs(1001)?);
                if ids != [1, 2, 3] || at.len() != 3 {
                    return Err(format!("tensors {ids:?} at {at:?}"));
                }
                self.longs(1003)?;
            }
            _ => return Err(format!("the emulated cuDNN does not finalise kind {}", self.kind)),
        }
        Ok(())
    }
}
