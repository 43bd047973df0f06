//! Requests of Chat Completions, read into the canonical form and written from it.

use serde_json::{Map, Value, json};

use super::asked::{Asked, Block, Call, Format, Role, Thinking, Thought, Tool, ToolChoice, Turn};
use super::fields::{Fields, is_neutral, unsupported};
use super::parts::{document, file, image, image_url, object, put};
use super::proof::Proof;
use crate::dialect::request::Error;

/// What Responses has by the same name.
const SHARED: [&str; 9] = [
    "metadata",
    "store",
    "service_tier",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "verbosity",
    "logprobs",
    "top_logprobs",
];

/// Reads a request.
pub(super) fn read(body: Value) -> Result<Asked, Error> {
    let mut fields = Fields::of(body, "")?;
    if fields.count("n")?.is_some_and(|n| n > 1) {
        return Err(unsupported("n", "the upstream of this model gives one choice"));
    }
    fields.refuse("functions", "use `tools`")?;
    fields.refuse("function_call", "use `tool_choice`")?;
    fields.refuse("audio", "the upstream of this model cannot speak")?;
    fields.refuse("web_search_options", "the upstream of this model has no tools of its own here")?;
    let modalities = fields.list("modalities")?;
    if modalities.iter().any(|kind| kind != "text") {
        return Err(unsupported("modalities", "the upstream of this model answers with text"));
    }
    let mut asked = Asked {
        model: fields.required("model")?,
        stream: fields.flag("stream")?.unwrap_or(false),
        tools: fields.objects("tools")?.into_iter().map(read_tool).collect::<Result<_, _>>()?,
        tool_choice: fields.take("tool_choice").map(read_choice).transpose()?,
        parallel: fields.flag("parallel_tool_calls")?,
        max_tokens: fields.count("max_completion_tokens")?,
        temperature: fields.number("temperature")?,
        top_p: fields.number("top_p")?,
        top_k: fields.count("top_k")?,
        format: fields.object("response_format")?.map(read_format).transpose()?.flatten(),
        user: fields.text("user")?,
        ..Asked::default()
    };
    asked.max_tokens = asked.max_tokens.or(fields.count("max_tokens")?);
    asked.stop = match fields.take("stop") {
        None => Vec::new(),
        Some(Value::String(one)) => vec![one],
        Some(list) => serde_json::from_value(list)
            .map_err(|_| Error::Invalid { parameter: "stop".to_owned(), why: "it must be text or a list of texts" })?,
    };
    asked.thinking = read_thinking(&mut fields)?;
    for message in fields.objects("messages")? {
        read_message(message, &mut asked)?;
    }
    drop(fields.take("stream_options"));
    asked.others = fields.rest();
    Ok(asked)
}

fn read_thinking(fields: &mut Fields) -> Result<Thinking, Error> {
    let mut thinking = Thinking { effort: fields.text("reasoning_effort")?, ..Thinking::default() };
    if let Some(mut own) = fields.object("thinking")? {
        thinking.on = own.text("type")?.map(|kind| kind != "disabled");
        thinking.budget = own.count("budget_tokens")?;
    }
    if let Some(on) = fields.flag("enable_thinking")? {
        thinking.on = Some(on);
    }
    thinking.budget = thinking.budget.or(fields.count("thinking_budget")?);
    Ok(thinking)
}

fn read_tool(mut tool: Fields) -> Result<Tool, Error> {
    if tool.kind("function")? != "function" {
        return Err(unsupported(tool.at("type"), "only tools of type `function` can be sent to this upstream"));
    }
    let cache = tool.take("cache_control");
    let place = tool.at("function");
    let mut function = tool.object("function")?.ok_or(Error::Invalid { parameter: place, why: "it must be there" })?;
    Ok(Tool {
        name: function.required("name")?,
        description: function.text("description")?,
        parameters: function.take("parameters"),
        strict: function.flag("strict")?,
        cache,
    })
}

fn read_choice(choice: Value) -> Result<ToolChoice, Error> {
    match choice.as_str() {
        Some("auto") => return Ok(ToolChoice::Auto),
        Some("none") => return Ok(ToolChoice::Never),
        Some("required") => return Ok(ToolChoice::Any),
        _ => {}
    }
    match choice["function"]["name"].as_str() {
        Some(name) => Ok(ToolChoice::One(name.to_owned())),
        None => Err(unsupported("tool_choice", "it must be auto, none, required or a function")),
    }
}

fn read_format(mut format: Fields) -> Result<Option<Format>, Error> {
    match format.kind("text")?.as_str() {
        "text" => Ok(None),
        "json_object" => Ok(Some(Format::Json)),
        "json_schema" => {
            let place = format.at("json_schema");
            let mut schema =
                format.object("json_schema")?.ok_or(Error::Invalid { parameter: place, why: "it must be there" })?;
            Ok(Some(Format::Schema {
                name: schema.text("name")?,
                description: schema.text("description")?,
                schema: schema.take("schema").unwrap_or_else(|| json!({})),
                strict: schema.flag("strict")?,
            }))
        }
        _ => Err(unsupported(format.at("type"), "it must be text, json_object or json_schema")),
    }
}

fn read_message(mut message: Fields, asked: &mut Asked) -> Result<(), Error> {
    let role = message.required("role")?;
    if role == "tool" {
        let result = Block::Result {
            id: message.required("tool_call_id")?,
            blocks: read_content(&mut message, &mut asked.dropped)?,
            failed: false,
        };
        // The answers to calls that were made at once stand together.
        let at_once = asked.turns.last_mut().filter(|turn| {
            turn.role == Role::User && turn.blocks.iter().all(|block| matches!(block, Block::Result { .. }))
        });
        match at_once {
            Some(turn) => turn.blocks.push(result),
            None => asked.turns.push(Turn { role: Role::User, name: None, blocks: vec![result] }),
        }
        return Ok(());
    }
    let role = match role.as_str() {
        "system" => Role::System,
        "developer" => Role::Developer,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        _ => return Err(unsupported(message.at("role"), "it must be system, developer, user, assistant or tool")),
    };
    let mut blocks = Vec::new();
    if role == Role::Assistant {
        read_reasoning(&mut message, &mut blocks)?;
    }
    let content = read_content(&mut message, &mut asked.dropped)?;
    blocks.extend(content.into_iter().filter(|block| role != Role::Assistant || *block != Block::text("")));
    blocks.extend(message.text("refusal")?.filter(|refusal| !refusal.is_empty()).map(Block::Refusal));
    for mut call in message.objects("tool_calls")? {
        let id = call.text("id")?.unwrap_or_default();
        let place = call.at("function");
        let mut function =
            call.object("function")?.ok_or(Error::Invalid { parameter: place, why: "it must be there" })?;
        let arguments = function.text("arguments")?.unwrap_or_default();
        blocks.push(Block::Call(Call { id, name: function.required("name")?, arguments }));
    }
    message.refuse("function_call", "use `tool_calls`")?;
    asked.turns.push(Turn { role, name: message.text("name")?, blocks });
    asked.dropped.extend(message.rest_names());
    Ok(())
}

/// Reasoning that the client sends back: with what its vendor knows it again by where the client kept that, else its text.
fn read_reasoning(message: &mut Fields, blocks: &mut Vec<Block>) -> Result<(), Error> {
    let plain = [message.text("reasoning_content")?, message.text("reasoning")?].into_iter().flatten().next();
    let mut proven = Vec::new();
    for mut detail in message.objects("reasoning_details")? {
        let id = detail.text("id")?.unwrap_or_default();
        let text = detail.text("text")?.or(detail.text("summary")?).unwrap_or_default();
        let proof = match (detail.text("signature")?, detail.text("data")?) {
            (Some(signature), _) => Proof::of_signature(&signature),
            (None, Some(data)) if detail.text("format")?.is_some_and(|format| format.starts_with("anthropic")) => {
                Some(Proof::Redacted(data))
            }
            (None, Some(data)) => Proof::of_encrypted(&id, &data),
            (None, None) => None,
        };
        proven.push(Thought { text, proof });
    }
    if proven.iter().all(|thought| thought.proof.is_none()) {
        proven = plain.filter(|text| !text.is_empty()).map(|text| Thought { text, proof: None }).into_iter().collect();
    }
    blocks.extend(proven.into_iter().map(Block::Thinking));
    Ok(())
}

fn read_content(message: &mut Fields, dropped: &mut Vec<String>) -> Result<Vec<Block>, Error> {
    let place = message.at("content");
    match message.take("content") {
        None => Ok(Vec::new()),
        Some(Value::String(text)) => Ok(vec![Block::text(text)]),
        Some(Value::Array(parts)) => parts
            .into_iter()
            .enumerate()
            .map(|(index, part)| read_part(Fields::of(part, &format!("{place}[{index}]"))?, dropped))
            .collect(),
        Some(_) => Err(Error::Invalid { parameter: place, why: "it must be text or a list of parts" }),
    }
}

fn read_part(mut part: Fields, dropped: &mut Vec<String>) -> Result<Block, Error> {
    let cache = part.take("cache_control");
    let block = match part.kind("text")?.as_str() {
        "text" => Block::Text { text: part.required("text")?, cache },
        "refusal" => Block::Refusal(part.required("refusal")?),
        "image_url" => {
            let place = part.at("image_url");
            let mut url =
                part.object("image_url")?.ok_or(Error::Invalid { parameter: place, why: "it must be there" })?;
            Block::Image(image(url.required("url")?, url.text("detail")?))
        }
        "file" => {
            let place = part.at("file");
            let mut own = part
                .object("file")?
                .ok_or_else(|| Error::Invalid { parameter: place.clone(), why: "it must be there" })?;
            own.refuse("file_id", "files must be sent with the request, not by their id")?;
            Block::Document(document(own.text("filename")?, &own.required("file_data")?, &place)?)
        }
        _ => return Err(unsupported(part.at("type"), "it must be text, refusal, image_url or file")),
    };
    dropped.extend(part.rest_names());
    Ok(block)
}

/// Writes a request.
pub(super) fn write(asked: &Asked, dropped: &mut Vec<String>) -> Value {
    let mut body = Map::new();
    body.insert("model".to_owned(), asked.model.clone().into());
    let mut messages = Vec::new();
    for turn in &asked.turns {
        write_turn(turn, &mut messages, dropped);
    }
    body.insert("messages".to_owned(), messages.into());
    if asked.stream {
        body.insert("stream".to_owned(), true.into());
        body.insert("stream_options".to_owned(), json!({"include_usage": true}));
    }
    if !asked.tools.is_empty() {
        body.insert("tools".to_owned(), asked.tools.iter().map(write_tool).collect());
    }
    put(&mut body, "tool_choice", asked.tool_choice.as_ref().map(write_choice));
    put(&mut body, "parallel_tool_calls", asked.parallel);
    put(&mut body, "max_tokens", asked.max_tokens);
    put(&mut body, "temperature", asked.temperature);
    put(&mut body, "top_p", asked.top_p);
    put(&mut body, "top_k", asked.top_k);
    put(&mut body, "stop", (!asked.stop.is_empty()).then(|| asked.stop.clone()));
    put(&mut body, "response_format", asked.format.as_ref().map(write_format));
    put(&mut body, "reasoning_effort", asked.thinking.effort());
    put(&mut body, "user", asked.user.clone());
    for (name, value) in asked.others.iter().filter(|(_, value)| !is_neutral(value)) {
        if SHARED.contains(&name.as_str()) {
            body.insert(name.clone(), value.clone());
        } else {
            dropped.push(name.clone());
        }
    }
    Value::Object(body)
}

fn write_tool(tool: &Tool) -> Value {
    let parameters = tool.parameters.clone().unwrap_or_else(|| json!({"type": "object", "properties": {}}));
    let function = json!({
        "name": tool.name, "description": tool.description, "parameters": parameters,
        "strict": tool.strict.filter(|strict| *strict),
    });
    json!({"type": "function", "function": object(function)})
}

fn write_choice(choice: &ToolChoice) -> Value {
    match choice {
        ToolChoice::Auto => "auto".into(),
        ToolChoice::Never => "none".into(),
        ToolChoice::Any => "required".into(),
        ToolChoice::One(name) => json!({"type": "function", "function": {"name": name}}),
    }
}

fn write_format(format: &Format) -> Value {
    match format {
        Format::Json => json!({"type": "json_object"}),
        Format::Schema { name, description, schema, strict } => {
            let name = name.as_deref().unwrap_or("answer");
            let schema = json!({"name": name, "description": description, "schema": schema, "strict": strict});
            json!({"type": "json_schema", "json_schema": object(schema)})
        }
    }
}

fn write_turn(turn: &Turn, messages: &mut Vec<Value>, dropped: &mut Vec<String>) {
    let role = match turn.role {
        Role::System => "system",
        Role::Developer => "developer",
        Role::User => "user",
        Role::Assistant => return messages.push(write_assistant(turn, dropped)),
    };
    // Pictures that a tool gave have no place in its message; they follow in one of the user's.
    let mut said = Vec::new();
    for block in &turn.blocks {
        match block {
            Block::Result { id, blocks, failed } => {
                let (texts, others): (Vec<&Block>, Vec<&Block>) =
                    blocks.iter().partition(|block| matches!(block, Block::Text { .. }));
                messages.push(json!({"role": "tool", "tool_call_id": id, "content": write_content(&texts, dropped)}));
                said.extend(others);
                if *failed {
                    dropped.push("tool_result.is_error".to_owned());
                }
            }
            other => said.push(other),
        }
    }
    if !said.is_empty() || turn.blocks.is_empty() {
        let message = json!({"role": role, "content": write_content(&said, dropped), "name": turn.name});
        messages.push(object(message));
    }
}

fn write_assistant(turn: &Turn, dropped: &mut Vec<String>) -> Value {
    let (mut said, mut thoughts, mut calls, mut refusals) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for block in &turn.blocks {
        match block {
            Block::Thinking(thought) => {
                thoughts.extend(Some(thought.text.as_str()).filter(|text| !text.is_empty()));
                if thought.proof.is_some() {
                    dropped.push("thinking.signature".to_owned());
                }
            }
            Block::Call(call) => calls.push(json!({
                "id": call.id, "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            })),
            Block::Refusal(refusal) => refusals.push(refusal.as_str()),
            other => said.push(other),
        }
    }
    let content = if said.is_empty() { Value::Null } else { write_content(&said, dropped) };
    let filled = |texts: Vec<&str>| Some(texts.join("\n\n")).filter(|text| !text.is_empty());
    let mut message = object(json!({
        "role": "assistant", "name": turn.name, "reasoning_content": filled(thoughts), "refusal": filled(refusals),
    }));
    message["content"] = content;
    if !calls.is_empty() {
        message["tool_calls"] = calls.into();
    }
    message
}

/// One text as such, since that is what every server takes; else a list of parts.
fn write_content(blocks: &[&Block], dropped: &mut Vec<String>) -> Value {
    if blocks.iter().any(|block| matches!(block, Block::Text { cache: Some(_), .. })) {
        dropped.push("cache_control".to_owned());
    }
    match blocks {
        [] => Value::from(""),
        [Block::Text { text, .. }] => text.clone().into(),
        blocks => blocks.iter().filter_map(|block| write_part(block)).collect(),
    }
}

fn write_part(block: &Block) -> Option<Value> {
    Some(match block {
        Block::Text { text, .. } => json!({"type": "text", "text": text}),
        Block::Image(image) => {
            let detail = match image {
                super::asked::Image::Url { detail, .. } => detail.clone(),
                super::asked::Image::Data { .. } => None,
            };
            json!({"type": "image_url", "image_url": object(json!({"url": image_url(image), "detail": detail}))})
        }
        Block::Document(document) => json!({"type": "file", "file": file(document)}),
        Block::Refusal(text) => json!({"type": "refusal", "refusal": text}),
        Block::Thinking(_) | Block::Call(_) | Block::Result { .. } => return None,
    })
}
