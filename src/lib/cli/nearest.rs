//! "Did you mean …?": the known name nearest to a misspelt one.

/// The candidate that a typing slip could have turned into `name`, if there is one.
pub(super) fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_ascii_lowercase();
    let (distance, candidate) = candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&name, &candidate.to_ascii_lowercase()), candidate))
        .min_by_key(|(distance, _)| *distance)?;
    // A third of the letters wrong is a slip; more is another word.
    (distance <= candidate.len().div_ceil(3)).then_some(candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_found_and_other_words_are_not() {
        let known = ["listen", "realm", "user", "password", "password-file"];
        assert_eq!(nearest("lisen", known), Some("listen"));
        assert_eq!(nearest("pasword", known), Some("password"));
        assert_eq!(nearest("Password_file", known), Some("password-file"));
        assert_eq!(nearest("sure", known), Some("user"));
        assert_eq!(nearest("colour", known), None);
        assert_eq!(nearest("x", []), None);
    }
}
