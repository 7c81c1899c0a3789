//! `run --container`: the option on its way to the shim.

use protocol::control::{ErrorBody, ErrorCode, RunOption, RunRequest};
use sys::container::VARIABLE;

/// The variable is ours: a caller inside a container task has it, too.
pub(super) fn forget(request: &mut RunRequest) {
    let theirs = |env: &mut Vec<(String, String)>| env.retain(|(name, _)| name != VARIABLE);
    theirs(&mut request.client_env);
    theirs(&mut request.env);
}

/// The container travels with the environment, so that it is in `spec` and part
/// of what a repeated id is compared with.
pub(super) fn take_options(
    request: &mut RunRequest,
    options: &[RunOption],
) -> Result<(), ErrorBody> {
    let refuse = |message: &str| Err(ErrorBody::new(ErrorCode::Usage, message));
    for option in options {
        match option {
            RunOption::Replace | RunOption::Queue | RunOption::OnNotFound(_) => {}
            RunOption::Container(name) => {
                if !is_container_name(name) {
                    return refuse("invalid --container: a name or an id is wanted");
                }
                let mut lines = vec![name.clone()];
                lines.extend(request.env.iter().map(|(name, _)| name.clone()));
                if lines.iter().skip(1).any(|name| !is_plain(name)) {
                    return refuse("with --container the names in --env are letters, digits and _");
                }
                request.env.push((VARIABLE.to_owned(), lines.join("\n")));
            }
        }
    }
    Ok(())
}

/// As the engines allow it.
fn is_container_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.len() <= 255
        && name.chars().all(fits)
}

fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
