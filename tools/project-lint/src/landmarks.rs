//! Landmarks: texts that occur once in the sources, in the file where a reader looks for them.

use crate::text::{files, read};
use crate::words::lines;

/// What is wrong with the landmarks: `text | file` a line.
pub fn check(base: &str, landmarks: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for line in lines(landmarks) {
        let Some((text, wanted)) = line
            .split_once('|')
            .map(|(text, file)| (text.trim(), file.trim()))
        else {
            wrong.push(format!("landmarks: not `text | file`: {line}"));
            continue;
        };
        let hits: Vec<String> = ["src", "crates"]
            .iter()
            .flat_map(|root| files(base, root, "rs"))
            .flat_map(|file| {
                let count = read(base, &file.path).matches(text).count();
                std::iter::repeat_n(file.path, count)
            })
            .collect();
        if hits != [wanted] {
            wrong.push(format!(
                "landmarks: \"{text}\" should be once in {wanted}, is in: {}",
                hits.join(" ")
            ));
        }
    }
    wrong
}
