//! Speed of the kernels. `cargo bench -p glad-ops [-- mini|resnet|ops]`
fn main() {}
