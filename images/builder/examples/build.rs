//! Builds the artifacts of this workspace.
fn main() {
    let workspace = std::env::current_dir().expect("a working folder");
    match images::build(&workspace, &mut |step| eprintln!("{step:?}")) {
        Ok(artifacts) => println!("{artifacts:?}"),
        Err(error) => eprintln!("{error} {:?}", error.hint),
    }
}
