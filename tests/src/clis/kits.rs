//! What keeps each CLI on loopback and quiet.

use super::{Cost, Kit, Unreachable};

/// Claude Code.
pub const CLAUDE: Kit = Kit {
    name: "claude",
    variables: &[
        ("ANTHROPIC_BASE_URL", "{url}"),
        ("ANTHROPIC_API_KEY", "stub"),
        ("DISABLE_TELEMETRY", "1"),
        ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
        ("DISABLE_AUTOUPDATER", "1"),
        ("CLAUDE_CODE_MAX_RETRIES", "1"),
        // It refuses to work unattended for root otherwise.
        ("IS_SANDBOX", "1"),
    ],
    arguments: &["--dangerously-skip-permissions"],
    home_file: None,
    work_file: None,
    failures: &[500, 429, 401, 404, 400],
    unreachable: Unreachable::Ends,
    stubborn: None,
    output_tokens: 50,
    cost: Cost::Said,
};

/// Codex.
pub const CODEX: Kit = Kit {
    name: "codex",
    variables: &[("OPENAI_API_KEY", "stub")],
    arguments: &["--dangerously-bypass-approvals-and-sandbox"],
    home_file: Some((
        ".codex/config.toml",
        "model = \"stub-model\"\nmodel_provider = \"stub\"\n\
         check_for_update_on_startup = false\n[model_providers.stub]\nname = \"stub\"\n\
         base_url = \"{url}/v1\"\nenv_key = \"OPENAI_API_KEY\"\nwire_api = \"responses\"\n\
         request_max_retries = 1\nstream_max_retries = 1\n",
    )),
    work_file: None,
    failures: &[500, 503, 429, 401, 404, 400],
    unreachable: Unreachable::Waits,
    stubborn: None,
    output_tokens: 50,
    cost: Cost::Unsaid,
};

/// Gemini CLI. It tries a 500 for minutes, whatever its settings say.
pub const GEMINI: Kit = Kit {
    name: "gemini",
    variables: &[
        ("GEMINI_API_KEY", "stub"),
        ("GOOGLE_GEMINI_BASE_URL", "{url}"),
        ("GEMINI_TELEMETRY_ENABLED", "false"),
        ("GEMINI_CLI_TRUST_WORKSPACE", "true"),
    ],
    arguments: &["--yolo"],
    // With an address of its own the variables alone do not say which key it is.
    home_file: Some((
        ".gemini/settings.json",
        r#"{"security": {"auth": {"selectedType": "gemini-api-key"}},
            "general": {"enableAutoUpdate": false}}"#,
    )),
    work_file: None,
    failures: &[400, 401, 404],
    unreachable: Unreachable::Waits,
    stubborn: Some(500),
    // One for the choice of the model, one for the answer.
    output_tokens: 100,
    cost: Cost::Unsaid,
};

/// opencode.
pub const OPENCODE: Kit = Kit {
    name: "opencode",
    variables: &[
        ("OPENCODE_DISABLE_AUTOUPDATE", "1"),
        ("OPENCODE_DISABLE_MODELS_FETCH", "1"),
        ("OPENCODE_DISABLE_LSP_DOWNLOAD", "1"),
    ],
    arguments: &[],
    home_file: None,
    work_file: Some((
        "opencode.json",
        r#"{"model": "stub/stub-model", "provider": {"stub": {
            "npm": "@ai-sdk/openai-compatible", "name": "stub",
            "options": {"baseURL": "{url}/v1", "apiKey": "stub"},
            "models": {"stub-model": {"name": "stub", "cost": {"input": 3, "output": 15}}}}}}"#,
    )),
    failures: &[400, 401, 404],
    unreachable: Unreachable::Waits,
    stubborn: Some(500),
    output_tokens: 50,
    cost: Cost::Said,
};

/// Qwen Code. It tries a 500 for minutes, in silence.
pub const QWEN: Kit = Kit {
    name: "qwen",
    variables: &[
        ("OPENAI_API_KEY", "stub"),
        ("OPENAI_BASE_URL", "{url}/v1"),
        ("OPENAI_MODEL", "stub-model"),
    ],
    arguments: &["--yolo", "--auth-type", "openai"],
    home_file: None,
    work_file: None,
    failures: &[400, 401, 404],
    unreachable: Unreachable::Ends,
    stubborn: Some(500),
    output_tokens: 100,
    cost: Cost::Unsaid,
};
