//! `providers [list|show NAME|check FILE [--try]]`.

mod trial;

use std::fs;

use clap::Subcommand;
use protocol::control::{ProvidersRequest, Request, Response};
use serde_json::json;

use super::Context;
use crate::client::Client;
use crate::errors::CliError;
use crate::exit_code::Code;
use crate::render::out::{self, Format};
use crate::render::task::Screen;
use crate::render::text::clean;
use crate::render::{json, service};

/// Options of `providers`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// All providers, and whether their programs are installed
    List,
    /// A provider's file
    Show {
        /// Its name
        name: String,
    },
    /// Is this a good provider file?
    Check {
        /// The file
        file: String,
        /// Run it once, apart from your own supervisor, and show what was
        /// recognised in its output
        #[arg(long = "try")]
        attempt: bool,
        #[command(flatten)]
        trial: trial::Args,
    },
}

pub(super) fn execute(args: Args, cx: &Context) -> Result<Code, CliError> {
    match args.verb.unwrap_or(Verb::List) {
        Verb::List => list(cx),
        Verb::Show { name } => show(name, cx),
        Verb::Check {
            file,
            attempt,
            trial,
        } => {
            if attempt {
                trial::execute(&file, &trial, cx)
            } else {
                check(&file, cx)
            }
        }
    }
}

fn list(cx: &Context) -> Result<Code, CliError> {
    let client = cx.client()?;
    let answer = client.ask_or_read(&Request::Providers(ProvidersRequest::List))?;
    let Response::Providers(providers) = answer else {
        return Err(CliError::wrong_answer());
    };
    let unused = unused(&client);
    match cx.format {
        Format::Json => out::json(&json!({
            "providers": json::value(&providers)?,
            "unused": unused,
        }))?,
        Format::Text => {
            out::text(&service::providers(&providers, Screen::stdout()))?;
            for problem in unused {
                out::say(&format!("agentctl: {}", clean(&problem)));
            }
        }
    }
    Ok(Code::OK)
}

/// Files that are not used, and why; none where nobody can tell (an older
/// supervisor does not know the question).
pub(super) fn unused(client: &Client) -> Vec<String> {
    let answer = client.ask_or_read(&Request::Providers(ProvidersRequest::Unused));
    answer.and_then(problems_in).unwrap_or_default()
}

fn show(name: String, cx: &Context) -> Result<Code, CliError> {
    let answer = cx
        .client()?
        .ask_or_read(&Request::Providers(ProvidersRequest::Show { name }))?;
    let Response::Providers(providers) = answer else {
        return Err(CliError::wrong_answer());
    };
    let Some(provider) = providers.first() else {
        return Err(CliError::wrong_answer());
    };
    match cx.format {
        Format::Json => out::json(&json::value(provider)?)?,
        Format::Text => {
            let text = provider.text.as_deref().unwrap_or_default();
            out::say(&format!(
                "agentctl: {} ({})",
                provider.name,
                clean(&provider.source)
            ));
            out::text(&format!("{}\n", text.trim_end_matches('\n')))?;
        }
    }
    Ok(Code::OK)
}

fn check(file: &str, cx: &Context) -> Result<Code, CliError> {
    let text = text_of(file)?;
    let request = check_request(file, &text);
    let problems = problems_in(cx.client()?.ask_or_read(&request)?)?;
    tell(file, &problems, cx.format)
}

fn text_of(file: &str) -> Result<String, CliError> {
    fs::read_to_string(file)
        .map_err(|error| CliError::usage(format!("cannot read {file}: {error}")))
}

fn check_request(file: &str, text: &str) -> Request {
    Request::Providers(ProvidersRequest::Check {
        file: file.to_owned(),
        text: text.to_owned(),
    })
}

fn problems_in(answer: Response) -> Result<Vec<String>, CliError> {
    let Response::ProviderChecked { problems } = answer else {
        return Err(CliError::wrong_answer());
    };
    Ok(problems)
}

fn tell(file: &str, problems: &[String], format: Format) -> Result<Code, CliError> {
    match format {
        Format::Json => out::json(&json!({ "file": file, "problems": problems }))?,
        Format::Text if problems.is_empty() => out::text(&format!("{}: ok\n", clean(file)))?,
        Format::Text => {
            let lines = problems
                .iter()
                .map(|problem| format!("{}\n", clean(problem)));
            out::text(&lines.collect::<String>())?;
        }
    }
    Ok(if problems.is_empty() {
        Code::OK
    } else {
        Code::USAGE
    })
}
