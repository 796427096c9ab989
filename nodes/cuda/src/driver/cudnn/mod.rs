//! cuDNN, through its graph interface ("backend"): the legacy one has no way to say channels-last, 3-D and bfloat16 at
//! once, and what is new in cuDNN comes to the graph interface alone.

pub mod conv;
