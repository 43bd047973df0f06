//! Requests of Messages, read into the canonical form and written from it.

use serde_json::{Map, Value, json};

use super::asked::{Asked, Block, Call, Document, Format, Image, Role, Thinking, Thought, Tool, ToolChoice, Turn};
use super::fields::{Fields, is_neutral, unsupported};
use super::parts::{arguments, object, put};
use super::proof::Proof;
use crate::dialect::request::Error;

/// Tokens of an answer where the client set no bound and the dialect demands one.
const MAX_TOKENS: u64 = 8_192;

/// Reads a request.
pub(super) fn read(body: Value) -> Result<Asked, Error> {
    let mut fields = Fields::of(body, "")?;
    fields.refuse("mcp_servers", "the upstream of this model calls no servers")?;
    fields.refuse("container", "the upstream of this model keeps no containers")?;
    let mut asked = Asked {
        model: fields.required("model")?,
        stream: fields.flag("stream")?.unwrap_or(false),
        tools: fields.objects("tools")?.into_iter().map(read_tool).collect::<Result<_, _>>()?,
        max_tokens: fields.count("max_tokens")?,
        temperature: fields.number("temperature")?,
        top_p: fields.number("top_p")?,
        top_k: fields.count("top_k")?,
        ..Asked::default()
    };
    asked.stop = fields.list("stop_sequences")?.iter().filter_map(|text| text.as_str().map(str::to_owned)).collect();
    if let Some(mut choice) = fields.object("tool_choice")? {
        asked.parallel = choice.flag("disable_parallel_tool_use")?.map(|disabled| !disabled);
        asked.tool_choice = Some(match choice.kind("auto")?.as_str() {
            "auto" => ToolChoice::Auto,
            "none" => ToolChoice::Never,
            "any" => ToolChoice::Any,
            "tool" => ToolChoice::One(choice.required("name")?),
            _ => return Err(unsupported("tool_choice.type", "it must be auto, none, any or tool")),
        });
    }
    read_thinking(&mut fields, &mut asked)?;
    if let Some(mut metadata) = fields.object("metadata")? {
        asked.user = metadata.text("user_id")?;
        asked.dropped.extend(metadata.rest_names());
    }
    if fields.text("service_tier")?.is_some_and(|tier| tier != "auto") {
        asked.dropped.push("service_tier".to_owned());
    }
    if let Some(system) = fields.take("system") {
        let blocks = read_content(system, "system", &mut asked.dropped)?;
        asked.turns.push(Turn { role: Role::System, name: None, blocks });
    }
    for message in fields.objects("messages")? {
        read_message(message, &mut asked)?;
    }
    asked.dropped.extend(fields.rest_names());
    Ok(asked)
}

fn read_thinking(fields: &mut Fields, asked: &mut Asked) -> Result<(), Error> {
    if let Some(mut thinking) = fields.object("thinking")? {
        let kind = thinking.kind("enabled")?;
        asked.thinking = Thinking {
            on: (kind != "adaptive").then_some(kind == "enabled"),
            budget: thinking.count("budget_tokens")?,
            effort: None,
        };
    }
    if let Some(mut output) = fields.object("output_config")? {
        asked.thinking.effort = output.text("effort")?;
        if let Some(mut format) = output.object("format")? {
            asked.format = Some(Format::Schema {
                name: None,
                description: None,
                schema: format.take("schema").unwrap_or_else(|| json!({})),
                strict: Some(true),
            });
        }
        asked.dropped.extend(output.rest_names());
    }
    Ok(())
}

fn read_tool(mut tool: Fields) -> Result<Tool, Error> {
    if tool.kind("custom")? != "custom" {
        return Err(unsupported(tool.at("type"), "the vendor's own tools cannot be used on this model's upstream"));
    }
    Ok(Tool {
        name: tool.required("name")?,
        description: tool.text("description")?,
        parameters: tool.take("input_schema"),
        strict: tool.flag("strict")?,
        cache: tool.take("cache_control"),
    })
}

fn read_message(mut message: Fields, asked: &mut Asked) -> Result<(), Error> {
    let role = match message.required("role")?.as_str() {
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "system" => Role::System,
        _ => return Err(unsupported(message.at("role"), "it must be user or assistant")),
    };
    let place = message.at("content");
    let content = message.take("content").unwrap_or_else(|| "".into());
    let blocks = read_content(content, &place, &mut asked.dropped)?;
    asked.turns.push(Turn { role, name: None, blocks });
    Ok(())
}

fn read_content(content: Value, place: &str, dropped: &mut Vec<String>) -> Result<Vec<Block>, Error> {
    match content {
        Value::String(text) => Ok(vec![Block::text(text)]),
        Value::Array(blocks) => blocks
            .into_iter()
            .enumerate()
            .map(|(index, block)| read_block(Fields::of(block, &format!("{place}[{index}]"))?, dropped))
            .collect(),
        _ => Err(Error::Invalid { parameter: place.to_owned(), why: "it must be text or a list of blocks" }),
    }
}

fn read_block(mut block: Fields, dropped: &mut Vec<String>) -> Result<Block, Error> {
    let cache = block.take("cache_control");
    let read = match block.kind("")?.as_str() {
        "text" => {
            if block.take("citations").is_some_and(|list| !is_neutral(&list)) {
                dropped.push("citations".to_owned());
            }
            Block::Text { text: block.required("text")?, cache }
        }
        "image" => Block::Image(read_image(&mut block)?),
        "document" => return read_document(block, dropped),
        "thinking" => {
            let proof = block.text("signature")?.and_then(|signature| Proof::of_signature(&signature));
            Block::Thinking(Thought { text: block.text("thinking")?.unwrap_or_default(), proof })
        }
        "redacted_thinking" => {
            let proof = Proof::of_redacted(block.required("data")?);
            Block::Thinking(Thought { text: String::new(), proof: Some(proof) })
        }
        "tool_use" => Block::Call(Call {
            id: block.required("id")?,
            name: block.required("name")?,
            arguments: block.take("input").unwrap_or_else(|| json!({})).to_string(),
        }),
        "tool_result" => {
            let place = block.at("content");
            let content = block.take("content").map(|content| read_content(content, &place, dropped)).transpose()?;
            Block::Result {
                id: block.required("tool_use_id")?,
                blocks: content.unwrap_or_default(),
                failed: block.flag("is_error")?.unwrap_or(false),
            }
        }
        _ => return Err(unsupported(block.at("type"), "blocks of this type cannot be sent to this model's upstream")),
    };
    dropped.extend(block.rest_names());
    Ok(read)
}

fn read_image(block: &mut Fields) -> Result<Image, Error> {
    let place = block.at("source");
    let mut source = block.object("source")?.ok_or(Error::Invalid { parameter: place, why: "it must be there" })?;
    match source.kind("base64")?.as_str() {
        "base64" => Ok(Image::Data { kind: source.required("media_type")?, data: source.required("data")? }),
        "url" => Ok(Image::Url { url: source.required("url")?, detail: None }),
        _ => Err(unsupported(source.at("type"), "pictures must be sent with the request or by URL")),
    }
}

fn read_document(mut block: Fields, dropped: &mut Vec<String>) -> Result<Block, Error> {
    let place = block.at("source");
    let mut source = block.object("source")?.ok_or(Error::Invalid { parameter: place, why: "it must be there" })?;
    let name = block.text("title")?;
    let read = match source.kind("base64")?.as_str() {
        "base64" => {
            let kind = source.required("media_type")?;
            Block::Document(Document { name, kind, data: source.required("data")? })
        }
        "text" => {
            let title = name.map(|name| format!("{name}\n\n")).unwrap_or_default();
            Block::text(format!("{title}{}", source.required("data")?))
        }
        _ => return Err(unsupported(source.at("type"), "documents must be sent with the request")),
    };
    if block.take("citations").is_some_and(|citations| citations["enabled"] == true) {
        dropped.push("citations".to_owned());
    }
    dropped.extend(block.rest_names());
    Ok(read)
}

/// Writes a request.
pub(super) fn write(asked: &Asked, dropped: &mut Vec<String>) -> Result<Value, Error> {
    let mut body = Map::new();
    body.insert("model".to_owned(), asked.model.clone().into());
    let (mut system, mut messages) = (Vec::new(), Vec::new());
    for turn in &asked.turns {
        write_turn(turn, &mut system, &mut messages, dropped)?;
    }
    if !system.is_empty() {
        body.insert("system".to_owned(), system.into());
    }
    body.insert("messages".to_owned(), messages.into());
    let thinks = asked.thinking.tokens().filter(|_| asked.thinking.effort.as_deref() != Some("none"));
    // The bound takes in the thinking, which must stay below it.
    let most = asked.max_tokens.unwrap_or_else(|| MAX_TOKENS.saturating_add(thinks.unwrap_or(0)));
    let thinks = thinks.map(|tokens| tokens.min(most.saturating_sub(1))).filter(|tokens| *tokens >= 1_024);
    body.insert("max_tokens".to_owned(), most.into());
    if let Some(tokens) = thinks {
        body.insert("thinking".to_owned(), json!({"type": "enabled", "budget_tokens": tokens}));
    }
    if asked.temperature.is_some_and(|temperature| temperature > 1.0) {
        return Err(unsupported("temperature", "the upstream of this model takes 0 to 1"));
    }
    put(&mut body, "temperature", asked.temperature);
    put(&mut body, "top_p", asked.top_p);
    put(&mut body, "top_k", asked.top_k);
    put(&mut body, "stop_sequences", (!asked.stop.is_empty()).then(|| asked.stop.clone()));
    put(&mut body, "stream", asked.stream.then_some(true));
    if !asked.tools.is_empty() {
        body.insert("tools".to_owned(), asked.tools.iter().map(write_tool).collect());
    }
    put(&mut body, "tool_choice", write_choice(asked));
    match &asked.format {
        None => {}
        Some(Format::Json) => {
            return Err(unsupported(
                "response_format",
                "the upstream of this model takes a JSON schema, not just any JSON",
            ));
        }
        Some(Format::Schema { schema, .. }) => {
            body.insert("output_config".to_owned(), json!({"format": {"type": "json_schema", "schema": schema}}));
        }
    }
    let user = asked.user.clone().or_else(|| asked.others.get("safety_identifier")?.as_str().map(str::to_owned));
    put(&mut body, "metadata", user.map(|user| json!({"user_id": user})));
    for (name, value) in asked.others.iter().filter(|(_, value)| !is_neutral(value)) {
        match name.as_str() {
            "logprobs" | "top_logprobs" => {
                return Err(unsupported(name.as_str(), "the upstream of this model does not tell likelihoods"));
            }
            "logit_bias" => return Err(unsupported("logit_bias", "the upstream of this model has no such bias")),
            "service_tier" if matches!(value.as_str(), Some("auto" | "default")) => {}
            "safety_identifier" if asked.user.is_none() => {}
            _ => dropped.push(name.clone()),
        }
    }
    Ok(Value::Object(body))
}

fn write_tool(tool: &Tool) -> Value {
    let schema = tool.parameters.clone().unwrap_or_else(|| json!({"type": "object", "properties": {}}));
    object(json!({
        "name": tool.name, "description": tool.description, "input_schema": schema,
        "strict": tool.strict.filter(|strict| *strict), "cache_control": tool.cache,
    }))
}

fn write_choice(asked: &Asked) -> Option<Value> {
    let single = (asked.parallel == Some(false) && !asked.tools.is_empty()).then_some(true);
    let choice = match &asked.tool_choice {
        None if single.is_none() => return None,
        None | Some(ToolChoice::Auto) => json!({"type": "auto", "disable_parallel_tool_use": single}),
        Some(ToolChoice::Never) => json!({"type": "none"}),
        Some(ToolChoice::Any) => json!({"type": "any", "disable_parallel_tool_use": single}),
        Some(ToolChoice::One(name)) => json!({"type": "tool", "name": name, "disable_parallel_tool_use": single}),
    };
    Some(object(choice))
}

fn write_turn(
    turn: &Turn,
    system: &mut Vec<Value>,
    messages: &mut Vec<Value>,
    dropped: &mut Vec<String>,
) -> Result<(), Error> {
    if turn.name.is_some() {
        dropped.push("messages.name".to_owned());
    }
    let blocks = write_blocks(&turn.blocks, dropped)?;
    let role = match turn.role {
        Role::System | Role::Developer => {
            if !messages.is_empty() {
                // The dialect knows instructions before the conversation only.
                dropped.push("messages.order".to_owned());
            }
            system.extend(blocks);
            return Ok(());
        }
        Role::User => "user",
        Role::Assistant => "assistant",
    };
    // A turn of nothing is no turn; an empty one is an error at the vendor's.
    if blocks.is_empty() {
        return Ok(());
    }
    match messages.last_mut().filter(|last| last["role"] == role).and_then(|last| last["content"].as_array_mut()) {
        Some(content) => content.extend(blocks),
        None => messages.push(json!({"role": role, "content": blocks})),
    }
    Ok(())
}

fn write_blocks(blocks: &[Block], dropped: &mut Vec<String>) -> Result<Vec<Value>, Error> {
    let mut written = Vec::with_capacity(blocks.len());
    for block in blocks {
        written.extend(write_block(block, dropped)?);
    }
    Ok(written)
}

fn write_block(block: &Block, dropped: &mut Vec<String>) -> Result<Option<Value>, Error> {
    Ok(Some(match block {
        // The vendor refuses empty texts.
        Block::Text { text, .. } if text.is_empty() => return Ok(None),
        Block::Text { text, cache } => object(json!({"type": "text", "text": text, "cache_control": cache})),
        Block::Refusal(text) => json!({"type": "text", "text": text}),
        Block::Image(Image::Url { url, .. }) => json!({"type": "image", "source": {"type": "url", "url": url}}),
        Block::Image(Image::Data { kind, data }) => {
            json!({"type": "image", "source": {"type": "base64", "media_type": kind, "data": data}})
        }
        Block::Document(Document { name, kind, data }) => object(json!({
            "type": "document", "title": name, "source": {"type": "base64", "media_type": kind, "data": data},
        })),
        Block::Thinking(Thought { text, proof }) => match proof {
            Some(Proof::Signed(signature)) => json!({"type": "thinking", "thinking": text, "signature": signature}),
            Some(Proof::Redacted(data)) => json!({"type": "redacted_thinking", "data": data}),
            // What the vendor did not sign itself it does not take back.
            Some(Proof::Encrypted { .. }) | None => {
                dropped.push("reasoning".to_owned());
                return Ok(None);
            }
        },
        Block::Call(call) => {
            let input = arguments(&call.arguments, "messages.tool_calls.arguments")?;
            json!({"type": "tool_use", "id": call.id, "name": call.name, "input": input})
        }
        Block::Result { id, blocks, failed } => {
            let content = write_blocks(blocks, dropped)?;
            object(json!({
                "type": "tool_result", "tool_use_id": id, "content": content, "is_error": failed.then_some(true),
            }))
        }
    }))
}
