//! Keys and tokens by their issuers' formats. What a rule does about them is not known here.
//!
//! A format with a checksum is found by it; the same shape without is reported under a name of its own, if it looks
//! random. Placeholders of documentation are not reported.

use std::ops::Range;

use super::formats::{Border, Check, Format, whole};

/// All formats, in the order in which they are tried.
pub(crate) const SECRETS: &[Format] = &[
    token("aws", "aws-access-key-id", "(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}", random),
    token(
        "aws",
        "aws-secret-access-key",
        r#"(?i:aws_?secret(?:_?access)?_?key|secret_?access_?key)["']?\s{0,4}[:=]\s{0,4}["']?[A-Za-z0-9/+]{40}"#,
        assigned,
    ),
    token("github", "github-token", "gh[pousr]_[A-Za-z0-9]{36}", checked_token),
    token("github", "github-token-unchecked", "gh[pousr]_[A-Za-z0-9]{36,}", unchecked_token),
    token("github", "github-fine-grained-token", "github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}", random),
    token("gitlab", "gitlab-token", "gl(?:pat|dt|rt|cbt|ptt|ft|soat|imt|agent|oas)-[A-Za-z0-9_-]{20,}", random),
    token("openai", "openai-key", "sk-(?:proj|svcacct|admin|None)-[A-Za-z0-9_-]{20,}", random),
    token("openai", "openai-key", "sk-[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20}", random),
    token("openai", "model-vendor-key", "sk-[A-Za-z0-9]{32,64}", random),
    token("anthropic", "anthropic-key", "sk-ant-[a-z]{3,8}[0-9]{2}-[A-Za-z0-9_-]{80,}", random),
    token("openrouter", "openrouter-key", "sk-or-v1-[0-9a-f]{64}", random),
    token("google", "google-api-key", "AIza[0-9A-Za-z_-]{35}", random),
    token("google", "google-oauth-secret", "GOCSPX-[0-9A-Za-z_-]{28}", random),
    token("google", "google-oauth-token", r"ya29\.[0-9A-Za-z_-]{30,}", random),
    token("huggingface", "huggingface-token", "hf_[A-Za-z]{34}", random),
    token("groq", "groq-key", "gsk_[A-Za-z0-9]{52}", random),
    token("xai", "xai-key", "xai-[A-Za-z0-9]{80}", random),
    token("perplexity", "perplexity-key", "pplx-[A-Za-z0-9]{48}", random),
    token("nvidia", "nvidia-key", "nvapi-[A-Za-z0-9_-]{64}", random),
    token("replicate", "replicate-token", "r8_[A-Za-z0-9]{37}", random),
    token("slack", "slack-token", "xox[abeoprs](?:-[0-9A-Za-z]{8,}){2,4}", random),
    token("slack", "slack-app-token", "xapp-[0-9]-[A-Z0-9]{8,}-[0-9]{8,}-[a-f0-9]{32,}", random),
    token("slack", "slack-webhook", "hooks\\.slack\\.com/services/T[A-Z0-9]{8,}/B[A-Z0-9]{8,}/[A-Za-z0-9]{20,}", whole),
    token("discord", "discord-webhook", "discord(?:app)?\\.com/api/webhooks/[0-9]{17,20}/[A-Za-z0-9_-]{60,}", whole),
    token("discord", "discord-bot-token", r"[MNO][A-Za-z0-9_-]{23,27}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,40}", random),
    token("telegram", "telegram-bot-token", "[0-9]{8,10}:AA[0-9A-Za-z_-]{33}", random),
    token("stripe", "stripe-key", "(?:sk|rk)_(?:live|test)_[0-9A-Za-z]{24,}", random),
    token("stripe", "stripe-webhook-secret", "whsec_[A-Za-z0-9+/]{32,}", random),
    token("square", "square-token", "sq0(?:atp|csp|idp)-[0-9A-Za-z_-]{22,}", random),
    token("shopify", "shopify-token", "shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}", random),
    token("twilio", "twilio-key", "SK[0-9a-f]{32}", random),
    token("sendgrid", "sendgrid-key", r"SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}", random),
    token("mail", "mailgun-key", "key-[0-9a-f]{32}", random),
    token("mail", "mailchimp-key", "[0-9a-f]{32}-us[0-9]{1,2}", random),
    token("npm", "npm-token", "npm_[A-Za-z0-9]{36}", checked_token),
    token("npm", "npm-token-unchecked", "npm_[A-Za-z0-9]{36}", unchecked_token),
    token("pypi", "pypi-token", "pypi-AgE[A-Za-z0-9_-]{50,}", random),
    token("rubygems", "rubygems-token", "rubygems_[a-f0-9]{48}", random),
    token("docker", "docker-token", "dckr_(?:pat|oat)_[A-Za-z0-9_-]{27,}", random),
    token("digitalocean", "digitalocean-token", "do[opr]_v1_[a-f0-9]{64}", random),
    token("heroku", "heroku-key", "HRKU-[0-9A-Za-z_-]{36,}", random),
    token("azure", "azure-storage-key", "AccountKey=[A-Za-z0-9+/]{86}==", assigned),
    token("databricks", "databricks-token", "dapi[a-f0-9]{32}", random),
    token("grafana", "grafana-token", "glsa_[A-Za-z0-9]{32}_[A-Fa-f0-9]{8}", random),
    token("hashicorp", "vault-token", r"hv[sbr]\.[A-Za-z0-9_-]{24,}", random),
    token("atlassian", "atlassian-token", "ATATT3[A-Za-z0-9_=-]{180,}", random),
    token("linear", "linear-key", "lin_api_[A-Za-z0-9]{40}", random),
    token("notion", "notion-token", "ntn_[A-Za-z0-9]{40,}", random),
    token("figma", "figma-token", "figd_[A-Za-z0-9_-]{40,}", random),
    token("postman", "postman-key", "PMAK-[a-f0-9]{24}-[a-f0-9]{34}", random),
    token("newrelic", "newrelic-key", "NRAK-[A-Z0-9]{27}", random),
    token("sentry", "sentry-token", "sntr(?:ys|yu)_[A-Za-z0-9+/=_-]{40,}", random),
    token("age", "age-secret-key", "AGE-SECRET-KEY-1[QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L]{58}", whole),
    token("ai", "langfuse-key", "sk-lf-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", random),
    token("ai", "langsmith-key", "lsv2_(?:pt|sk)_[a-f0-9]{32}_[a-f0-9]{10}", random),
    token("ai", "pinecone-key", "pcsk_[A-Za-z0-9_]{40,}", random),
    token("ai", "tavily-key", "tvly-(?:dev-|prod-)?[A-Za-z0-9]{20,}", random),
    token("ai", "cerebras-key", "csk-[a-z0-9]{40,}", random),
    token("ai", "fireworks-key", "fw_[A-Za-z0-9]{22,}", random),
    token("ai", "elevenlabs-key", "sk_[a-f0-9]{48}", random),
    token("ai", "jina-key", "jina_[a-f0-9]{32}[A-Za-z0-9_-]{20,}", random),
    token("aws", "aws-bedrock-key", "ABSK[A-Za-z0-9+/]{100,}={0,2}", random),
    token("alibaba", "alibaba-access-key-id", "LTAI[A-Za-z0-9]{12,24}", random),
    token("tencent", "tencent-secret-id", "AKID[A-Za-z0-9]{32}", random),
    token("yandex", "yandex-key", "(?:AQVN|y0_|t1\\.)[A-Za-z0-9_.-]{35,}", random),
    token("cloud", "netlify-token", "nf[pc]_[A-Za-z0-9]{36}", random),
    token("cloud", "fly-token", "(?:fo1_[A-Za-z0-9_-]{43}|fm[12][ar]?_[A-Za-z0-9+/]{60,}={0,3})", random),
    token("cloud", "planetscale-token", "pscale_(?:tkn|pw|oauth)_[A-Za-z0-9=._-]{32,64}", random),
    token("cloud", "supabase-token", "(?:sbp_[a-f0-9]{40}|sb_secret_[A-Za-z0-9_-]{20,})", random),
    token(
        "cloud",
        "doppler-token",
        r"dp\.(?:pt|st|ct|sa|scim|audit)\.(?:[a-z0-9_-]{2,35}\.)?[A-Za-z0-9]{40,44}",
        random,
    ),
    token("cloud", "pulumi-token", "pul-[a-f0-9]{40}", random),
    token("cloud", "tailscale-key", "tskey-(?:auth|api|client|scim|webhook)-[A-Za-z0-9]{6,}-[A-Za-z0-9]{20,}", random),
    token("hashicorp", "terraform-token", r"[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9=_-]{60,70}", random),
    token("dynatrace", "dynatrace-token", r"dt0[a-z][0-9]{2}\.[A-Z0-9]{24}\.[A-Z0-9]{64}", random),
    token("atlassian", "bitbucket-password", "ATBB[A-Za-z0-9]{32}", random),
    token("sonar", "sonar-token", "sq[pua]_[a-f0-9]{40}", random),
    token("crates", "crates-token", "cio[A-Za-z0-9]{32}", random),
    token("nuget", "nuget-key", "oy2[a-z0-9]{43}", random),
    token("airtable", "airtable-token", r"pat[A-Za-z0-9]{14}\.[a-f0-9]{64}", random),
    token("hubspot", "hubspot-token", "pat-(?:na|eu)[0-9]-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", random),
    token("mail", "brevo-key", "xkeysib-[a-f0-9]{64}-[A-Za-z0-9]{16}", random),
    token("mapbox", "mapbox-secret-token", r"sk\.eyJ[A-Za-z0-9_-]{40,}\.[A-Za-z0-9_-]{20,}", random),
    token("facebook", "facebook-token", "EAA[A-Za-z0-9]{90,}", random),
    token("braintree", "braintree-token", r"access_token\$(?:production|sandbox)\$[0-9a-z]{16}\$[0-9a-f]{32}", random),
    token("contentful", "contentful-token", "CFPAT-[A-Za-z0-9_-]{43}", random),
    token("prefect", "prefect-key", "pn[ub]_[A-Za-z0-9]{36}", random),
    token("jwt", "jwt", r"eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{16,}", whole),
    Format {
        kind: "private-key",
        name: "private-key",
        pattern: concat!(
            r"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----",
            r"(?:(?:\\n|\\r|\s)+[A-Za-z0-9+/=]{20,})*",
            r"(?:(?:(?:\\n|\\r|\s)+[A-Za-z0-9+/=]{1,19})?(?:\\n|\\r|\s)*",
            r"-----END (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----)?"
        ),
        border: Border { before: "", after: "" },
        check: None,
    },
    Format {
        kind: "url",
        name: "password-in-url",
        pattern: r#"(?:https?|s?ftps?|ssh|git|ldaps?|smtps?|imaps?|amqps?|mqtts?|rediss?|mysql|mariadb|postgres(?:ql)?|mongodb(?:\+srv)?|clickhouse|cassandra|sqlserver|mssql|oracle|nats|kafka|wss?|socks5h?|jdbc:[a-z]{2,12})://[!-~&&[^:/@"'<>]]+:[!-~&&[^:/@"'<>]]{3,}@[A-Za-z0-9.-]+"#,
        border: Border { before: "", after: "" },
        check: Some(password_in_url),
    },
    Format {
        kind: "assignment",
        name: "assigned-secret",
        pattern: concat!(
            r"(?i:pass(?:word|wd|phrase)|pwd|passwort|senha|contrasena|mot de passe|пароль|密码|口令|密钥",
            r"|secret(?:[_-]?key)?|token|api[_-]?key|access[_-]?key|auth[_-]?token|access[_-]?token",
            r"|client[_-]?secret|private[_-]?key|bearer)",
            r#"["']?(?:\s{0,3}(?::=|=>|=|:|为|是)\s{0,3}|\s)["']?[A-Za-z0-9_+/=.!@#$%^&*~-]{8,}"#
        ),
        border: Border { before: "", after: "" },
        check: Some(assigned_generic),
    },
];

const fn token(kind: &'static str, name: &'static str, pattern: &'static str, check: Check) -> Format {
    Format { kind, name, pattern, border: Border { before: "-", after: "" }, check: Some(check) }
}

/// Bits per character below which a text is no key.
const RANDOM: f64 = 2.8;

/// Bytes of a match that are looked at once more. A match that grows is looked at wherever it may end, so that looking at
/// all of it each time would cost its length squared.
const LOOKED_AT: usize = 256;

/// The begin of a match, as far as it is looked at.
fn head(text: &str) -> &str {
    text.get(..text.floor_char_boundary(LOOKED_AT)).unwrap_or_default()
}

/// What looks random and is no placeholder.
fn random(text: &str) -> Option<Range<usize>> {
    let (whole_text, text) = (text, head(text));
    let body = text.rsplit(['_', '-', '.']).find(|part| part.len() >= 10).unwrap_or(text);
    (entropy(body) >= RANDOM && !is_placeholder(text)).then(|| whole(whole_text))?
}

/// The value after a name and a sign, if it looks random.
fn assigned(text: &str) -> Option<Range<usize>> {
    let start = value_start(text)?;
    let value = head(text.get(start..)?);
    (entropy(value) >= RANDOM && !is_placeholder(value)).then_some(start..text.len())
}

/// As [`assigned`], for names that also stand before ordinary words: the value must mix kinds of characters.
fn assigned_generic(text: &str) -> Option<Range<usize>> {
    let start = value_start(text)?;
    let all = text.get(start..)?.trim_end_matches(['.', '!']);
    let value = head(all);
    let has = |kind: fn(&char) -> bool| usize::from(value.chars().any(|c| kind(&c)));
    let kinds = has(char::is_ascii_lowercase)
        + has(char::is_ascii_uppercase)
        + has(char::is_ascii_digit)
        + has(char::is_ascii_punctuation);
    let digits = value.chars().filter(char::is_ascii_digit).count();
    let mixed = kinds >= 3 || (kinds == 2 && digits >= 2);
    let is_number = value.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | '-' | '/'));
    (value.len() >= 8 && mixed && digits > 0 && !is_number && entropy(value) >= RANDOM && !is_placeholder(value))
        .then(|| start..start + all.len())
}

/// Where the value of an assignment begins.
fn value_start(text: &str) -> Option<usize> {
    let name = text.find([':', '=', '为', '是']).or_else(|| text.find(char::is_whitespace))?;
    let rest = text.get(name..)?;
    let value =
        rest.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, ':' | '=' | '>' | '"' | '\'' | '为' | '是'));
    Some(text.len() - value.len())
}

fn password_in_url(text: &str) -> Option<Range<usize>> {
    let start = text.find("://")? + 3;
    let colon = start + text.get(start..)?.find(':')? + 1;
    let end = text.rfind('@')?;
    let password = text.get(colon..end)?;
    (!is_placeholder(password) && !matches!(password, "password" | "pass" | "secret")).then_some(colon..end)
}

fn checked_token(text: &str) -> Option<Range<usize>> {
    checksum_fits(text).then(|| whole(text))?
}

fn unchecked_token(text: &str) -> Option<Range<usize>> {
    if checksum_fits(text) { None } else { random(text) }
}

/// GitHub and npm: the last six characters are the CRC-32 of those before, in base 62.
fn checksum_fits(text: &str) -> bool {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let Some((body, given)) = text.get(4..).and_then(|token| token.split_at_checked(30)) else { return false };
    let mut rest = crc32(body.as_bytes());
    let mut expected = [b'0'; 6];
    for place in expected.iter_mut().rev() {
        *place = DIGITS.get((rest % 62) as usize).copied().unwrap_or(b'0');
        rest /= 62;
    }
    given.as_bytes() == expected
}

/// CRC-32 as zip and Ethernet have it.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |sum: u32, _: u32| if sum & 1 == 1 { (sum >> 1) ^ 0xedb8_8320 } else { sum >> 1 };
    !bytes.iter().fold(!0_u32, |sum, byte| (0..8).fold(sum ^ u32::from(*byte), step))
}

/// Shannon's entropy in bits per byte.
fn entropy(text: &str) -> f64 {
    let mut counts = [0_u32; 256];
    for byte in text.bytes() {
        if let Some(count) = counts.get_mut(usize::from(byte)) {
            *count += 1;
        }
    }
    let length = f64::from(u32::try_from(text.len()).unwrap_or(u32::MAX));
    let shares = counts.iter().filter(|count| **count > 0).map(|count| f64::from(*count) / length);
    shares.map(|share| -share * share.log2()).sum()
}

/// What documentation writes where a key would stand.
fn is_placeholder(text: &str) -> bool {
    const WORDS: [&str; 12] = [
        "example",
        "xxxx",
        "your",
        "placeholder",
        "changeme",
        "redacted",
        "dummy",
        "abcdef",
        "012345",
        "123456789",
        "process.env",
        "getenv",
    ];
    let lower = text.to_ascii_lowercase();
    WORDS.iter().any(|word| lower.contains(word)) || lower.contains("****") || lower.contains("....")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_and_entropy_tell_keys_from_lookalikes() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        let body = "abcDEF123ghiJKL456mnoPQR789stu";
        let token = |sum: &str| format!("ghp_{body}{sum}");
        assert_eq!(checked_token(&token(&checksum(body))), Some(0..40));
        assert_eq!(checked_token(&token("AAAAAA")), None);
        assert_eq!(random("AKIAIOSFODNN7EXAMPLE"), None);
        assert_eq!(random("sk-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"), None);
        assert_eq!(assigned_generic("password: hunter2hunter2"), Some(10..24));
        assert_eq!(assigned_generic("password: something"), None);
        assert_eq!(assigned_generic("token = your_api_key_1234"), None);
        assert_eq!(password_in_url("postgres://app:s3cr3t!@d"), Some(15..22));
    }

    fn checksum(body: &str) -> String {
        const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        let mut rest = crc32(body.as_bytes());
        let mut digits = Vec::new();
        for _ in 0..6 {
            digits.push(DIGITS[(rest % 62) as usize]);
            rest /= 62;
        }
        digits.reverse();
        String::from_utf8(digits).unwrap()
    }
}
