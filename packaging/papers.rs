//! Writes what a release holds beside the program: completions for shells and the manual's pages, as the
//! arguments of the program make them.
//!
//! `papers FOLDER` makes `FOLDER/completions` and `FOLDER/man`.

use std::path::PathBuf;
use std::{fs, io};

use clap_complete::Shell;

const SHELLS: [Shell; 3] = [Shell::Bash, Shell::Zsh, Shell::Fish];

fn main() -> io::Result<()> {
    let folder = std::env::args_os().nth(1).map(PathBuf::from);
    let folder = folder.ok_or_else(|| io::Error::other("usage: papers FOLDER"))?;
    let (completions, man) = (folder.join("completions"), folder.join("man"));
    fs::create_dir_all(&completions)?;
    fs::create_dir_all(&man)?;
    for shell in SHELLS {
        let mut command = forebay::cli::command();
        clap_complete::generate_to(shell, &mut command, "forebay", &completions)?;
    }
    clap_mangen::generate_to(forebay::cli::command(), &man)
}
