//! Words as a shell and as `sbatch` read them.

/// Quotes text without NUL as one word of a POSIX shell.
pub(super) fn shell_quoted(text: &str) -> String {
    if is_plain(text) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// Quotes text without line break as the value of an option on a line `#SBATCH --option=value`, by
/// rules of `sbatch`: white space and `#` end a word unless quoted, and a backslash makes the next
/// character plain, within quotes too.
pub(super) fn directive_quoted(text: &str) -> String {
    let escaped = || text.replace('\\', r"\\").replace('"', "\\\"");
    if is_plain(text) { text.to_owned() } else { format!("\"{}\"", escaped()) }
}

pub(super) fn command_line(program: &str, arguments: &[String]) -> String {
    arguments.iter().fold(program.to_owned(), |line, word| line + " " + &shell_quoted(word))
}

fn is_plain(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_@%+=:,./-".contains(&byte);
    !text.is_empty() && text.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::process::Command;

    /// Lets a real shell take the words apart again.
    fn words_of_a_shell(quoted: &[String]) -> Vec<String> {
        let script = format!("printf '%s\\0' {}", quoted.join(" "));
        let output = Command::new("/bin/sh").arg("-c").arg(script).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        text.split_terminator('\0').map(str::to_owned).collect()
    }

    /// Takes a directive apart by the rules of `sbatch`, as they were tried on 22.05.
    fn words_of_a_directive(line: &str) -> Vec<String> {
        let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
        let mut characters = line.chars();
        while let Some(c) = characters.next() {
            match (c, quote) {
                ('\\', _) => word.extend(characters.next()),
                ('\'' | '"', None) => quote = Some(c),
                (c, Some(q)) if c == q => quote = None,
                ('#', None) => break,
                (c, None) if c.is_ascii_whitespace() => {
                    words.extend(Some(std::mem::take(&mut word)).filter(|w| !w.is_empty()))
                }
                _ => word.push(c),
            }
        }
        words.extend(Some(word).filter(|w| !w.is_empty()));
        words
    }

    #[test]
    fn plain_words_stay_readable() {
        assert_eq!(shell_quoted("--array=0-9%4"), "--array=0-9%4");
        assert_eq!(directive_quoted("/scratch/svhn_1/%A_%a.log"), "/scratch/svhn_1/%A_%a.log");
    }

    #[test]
    fn the_empty_word_is_a_word() {
        assert_eq!(shell_quoted(""), "''");
        assert_eq!(directive_quoted(""), "\"\"");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_shell_gives_every_word_back(words in proptest::collection::vec("[^\\x00]{0,30}|[ '\"\\\\$`!*~#&;\n]{0,12}", 1..8)) {
            let quoted: Vec<String> = words.iter().map(|word| shell_quoted(word)).collect();
            prop_assert_eq!(words_of_a_shell(&quoted), words);
        }

        #[test]
        fn sbatch_gives_every_value_back(value in "[^\\x00-\\x1f]{1,40}|[ '\"\\\\#%]{1,12}") {
            let line = format!("--output={} --requeue", directive_quoted(&value));
            prop_assert_eq!(words_of_a_directive(&line), [format!("--output={value}"), "--requeue".to_owned()]);
        }
    }
}
