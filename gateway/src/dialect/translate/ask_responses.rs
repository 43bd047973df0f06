//! Requests of Responses, read into the canonical form and written from it.

use serde_json::{Map, Value, json};

use super::asked::{Asked, Block, Call, Format, Image, Role, Thought, Tool, ToolChoice, Turn};
use super::fields::{Fields, is_neutral, unsupported};
use super::parts::{document, file, image, image_url, object, only_text, put};
use super::proof::Proof;
use crate::dialect::request::Error;

/// What the dialect has and others have not, because it speaks of things that the vendor keeps.
const KEPT: [(&str, &str); 6] = [
    ("previous_response_id", "the gateway keeps no replies: send the conversation in `input`"),
    ("conversation", "the gateway keeps no conversations: send it in `input`"),
    ("background", "the gateway answers at once or not at all"),
    ("prompt", "the gateway keeps no prompts: send its text"),
    ("store", "the gateway keeps no replies for later calls: send `store: false` or nothing"),
    ("context_management", "the gateway does not shorten conversations"),
];

/// What asks for likelihoods.
const LIKELIHOODS: &str = "message.output_text.logprobs";

/// Reads a request.
pub(super) fn read(body: Value) -> Result<Asked, Error> {
    let mut fields = Fields::of(body, "")?;
    for (name, why) in KEPT {
        fields.refuse(name, why)?;
    }
    let mut asked = Asked {
        model: fields.required("model")?,
        stream: fields.flag("stream")?.unwrap_or(false),
        tools: fields.objects("tools")?.into_iter().map(read_tool).collect::<Result<_, _>>()?,
        tool_choice: fields.take("tool_choice").map(read_choice).transpose()?,
        parallel: fields.flag("parallel_tool_calls")?,
        max_tokens: fields.count("max_output_tokens")?,
        temperature: fields.number("temperature")?,
        top_p: fields.number("top_p")?,
        user: fields.text("user")?,
        ..Asked::default()
    };
    if let Some(mut text) = fields.object("text")? {
        asked.format = text.object("format")?.map(read_format).transpose()?.flatten();
        put(&mut asked.others, "verbosity", text.take("verbosity"));
    }
    if let Some(mut reasoning) = fields.object("reasoning")? {
        asked.thinking.effort = reasoning.text("effort")?;
        // Reasoning is told anyway where there is some.
        drop((reasoning.take("summary"), reasoning.take("generate_summary")));
        asked.dropped.extend(reasoning.rest_names());
    }
    read_include(&mut fields, &mut asked)?;
    if fields.text("truncation")?.is_some_and(|way| way != "disabled") {
        asked.dropped.push("truncation".to_owned());
    }
    drop(fields.take("stream_options"));
    if let Some(top) = fields.count("top_logprobs")? {
        // Alone it asks for nothing.
        match asked.others.contains_key("logprobs") {
            true => put(&mut asked.others, "top_logprobs", Some(top)),
            false => asked.dropped.push("top_logprobs".to_owned()),
        }
    }
    if let Some(instructions) = fields.take("instructions") {
        let blocks = read_content(instructions, "instructions", &mut asked.dropped)?;
        asked.turns.push(Turn { role: Role::System, name: None, blocks });
    }
    match fields.take("input") {
        None => return Err(Error::Missing("input")),
        Some(Value::String(text)) => {
            asked.turns.push(Turn { role: Role::User, name: None, blocks: vec![Block::text(text)] });
        }
        Some(Value::Array(items)) => {
            for (index, item) in items.into_iter().enumerate() {
                read_item(Fields::of(item, &format!("input[{index}]"))?, &mut asked)?;
            }
        }
        Some(_) => {
            let why = "it must be text or a list of items";
            return Err(Error::Invalid { parameter: "input".to_owned(), why });
        }
    }
    asked.others.extend(fields.rest());
    Ok(asked)
}

fn read_include(fields: &mut Fields, asked: &mut Asked) -> Result<(), Error> {
    for wanted in fields.list("include")? {
        match wanted.as_str() {
            Some("reasoning.encrypted_content") => {}
            Some(LIKELIHOODS) => put(&mut asked.others, "logprobs", Some(true)),
            _ => asked.dropped.push("include".to_owned()),
        }
    }
    Ok(())
}

fn read_tool(mut tool: Fields) -> Result<Tool, Error> {
    if tool.kind("function")? != "function" {
        return Err(unsupported(tool.at("type"), "only tools of type `function` can be used on this model's upstream"));
    }
    Ok(Tool {
        name: tool.required("name")?,
        description: tool.text("description")?,
        parameters: tool.take("parameters"),
        strict: tool.flag("strict")?,
        cache: None,
    })
}

fn read_choice(choice: Value) -> Result<ToolChoice, Error> {
    match (choice.as_str(), choice["type"].as_str(), choice["name"].as_str()) {
        (Some("auto"), _, _) => Ok(ToolChoice::Auto),
        (Some("none"), _, _) => Ok(ToolChoice::Never),
        (Some("required"), _, _) => Ok(ToolChoice::Any),
        (None, Some("function"), Some(name)) => Ok(ToolChoice::One(name.to_owned())),
        _ => Err(unsupported("tool_choice", "it must be auto, none, required or a function")),
    }
}

fn read_format(mut format: Fields) -> Result<Option<Format>, Error> {
    match format.kind("text")?.as_str() {
        "text" => Ok(None),
        "json_object" => Ok(Some(Format::Json)),
        "json_schema" => Ok(Some(Format::Schema {
            name: format.text("name")?,
            description: format.text("description")?,
            schema: format.take("schema").unwrap_or_else(|| json!({})),
            strict: format.flag("strict")?,
        })),
        _ => Err(unsupported(format.at("type"), "it must be text, json_object or json_schema")),
    }
}

fn read_item(mut item: Fields, asked: &mut Asked) -> Result<(), Error> {
    let (role, block) = match item.kind("message")?.as_str() {
        "message" => return read_message(item, asked),
        "function_call" => {
            let (id, name) = (item.required("call_id")?, item.required("name")?);
            let arguments = item.text("arguments")?.unwrap_or_default();
            (Role::Assistant, Block::Call(Call { id, name, arguments }))
        }
        "function_call_output" => {
            let (id, place) = (item.required("call_id")?, item.at("output"));
            let output = item.take("output").unwrap_or_else(|| "".into());
            (Role::User, Block::Result { id, blocks: read_content(output, &place, &mut asked.dropped)?, failed: false })
        }
        "reasoning" => (Role::Assistant, Block::Thinking(read_thought(&mut item)?)),
        _ => return Err(unsupported(item.at("type"), "items of this type cannot be sent to this model's upstream")),
    };
    // What the model did in one go stands in several items.
    let results = |turn: &Turn| turn.blocks.iter().all(|block| matches!(block, Block::Result { .. }));
    match asked.turns.last_mut().filter(|turn| turn.role == role && (role == Role::Assistant || results(turn))) {
        Some(turn) => turn.blocks.push(block),
        None => asked.turns.push(Turn { role, name: None, blocks: vec![block] }),
    }
    Ok(())
}

fn read_thought(item: &mut Fields) -> Result<Thought, Error> {
    let id = item.text("id")?.unwrap_or_default();
    let proof = item.text("encrypted_content")?.and_then(|content| Proof::of_encrypted(&id, &content));
    let mut texts = Vec::new();
    for list in ["content", "summary"] {
        for mut part in item.objects(list)? {
            texts.extend(part.text("text")?);
        }
        if !texts.is_empty() {
            break;
        }
    }
    Ok(Thought { text: texts.join("\n\n"), proof })
}

fn read_message(mut item: Fields, asked: &mut Asked) -> Result<(), Error> {
    let role = match item.required("role")?.as_str() {
        "system" => Role::System,
        "developer" => Role::Developer,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        _ => return Err(unsupported(item.at("role"), "it must be system, developer, user or assistant")),
    };
    let place = item.at("content");
    let content = item.take("content").unwrap_or_else(|| "".into());
    let blocks = read_content(content, &place, &mut asked.dropped)?;
    match asked.turns.last_mut().filter(|turn| turn.role == Role::Assistant && role == Role::Assistant) {
        Some(turn) => turn.blocks.extend(blocks),
        None => asked.turns.push(Turn { role, name: None, blocks }),
    }
    Ok(())
}

fn read_content(content: Value, place: &str, dropped: &mut Vec<String>) -> Result<Vec<Block>, Error> {
    match content {
        Value::String(text) => Ok(vec![Block::text(text)]),
        Value::Array(parts) => parts
            .into_iter()
            .enumerate()
            .map(|(index, part)| read_part(Fields::of(part, &format!("{place}[{index}]"))?, dropped))
            .collect(),
        _ => Err(Error::Invalid { parameter: place.to_owned(), why: "it must be text or a list of parts" }),
    }
}

fn read_part(mut part: Fields, dropped: &mut Vec<String>) -> Result<Block, Error> {
    match part.kind("input_text")?.as_str() {
        "input_text" | "output_text" | "text" => {
            if part.take("annotations").is_some_and(|list| !is_neutral(&list)) {
                dropped.push("annotations".to_owned());
            }
            Ok(Block::text(part.required("text")?))
        }
        "refusal" => Ok(Block::Refusal(part.required("refusal")?)),
        "input_image" => {
            part.refuse("file_id", "pictures must be sent with the request or by URL")?;
            Ok(Block::Image(image(part.required("image_url")?, part.text("detail")?)))
        }
        "input_file" => {
            part.refuse("file_id", "files must be sent with the request, not by their id")?;
            part.refuse("file_url", "files must be sent with the request, not by URL")?;
            let place = part.at("file_data");
            Ok(Block::Document(document(part.text("filename")?, &part.required("file_data")?, &place)?))
        }
        _ => Err(unsupported(part.at("type"), "parts of this type cannot be sent to this model's upstream")),
    }
}

/// Writes a request.
pub(super) fn write(asked: &Asked, dropped: &mut Vec<String>) -> Result<Value, Error> {
    let mut body = Map::new();
    body.insert("model".to_owned(), asked.model.clone().into());
    let mut input = Vec::new();
    for turn in &asked.turns {
        write_turn(turn, &mut input, dropped);
    }
    body.insert("input".to_owned(), input.into());
    if !asked.stop.is_empty() {
        return Err(unsupported("stop", "the upstream of this model knows no stop sequences"));
    }
    put(&mut body, "stream", asked.stream.then_some(true));
    if !asked.tools.is_empty() {
        body.insert("tools".to_owned(), asked.tools.iter().map(write_tool).collect());
    }
    put(&mut body, "tool_choice", asked.tool_choice.as_ref().map(write_choice));
    put(&mut body, "parallel_tool_calls", asked.parallel);
    put(&mut body, "max_output_tokens", asked.max_tokens);
    put(&mut body, "temperature", asked.temperature);
    put(&mut body, "top_p", asked.top_p);
    put(&mut body, "user", asked.user.clone());
    if asked.top_k.is_some() {
        dropped.push("top_k".to_owned());
    }
    // Nothing is kept there; what reasoning the next turn needs is sent along in a form that only the vendor can read.
    body.insert("store".to_owned(), false.into());
    let mut include = Vec::new();
    if let Some(effort) = asked.thinking.effort() {
        body.insert("reasoning".to_owned(), json!({"effort": effort, "summary": "auto"}));
        include.push("reasoning.encrypted_content");
    }
    let mut text = Map::new();
    put(&mut text, "format", asked.format.as_ref().map(write_format));
    for (name, value) in asked.others.iter().filter(|(_, value)| !is_neutral(value)) {
        match name.as_str() {
            "metadata"
            | "service_tier"
            | "safety_identifier"
            | "prompt_cache_key"
            | "prompt_cache_retention"
            | "store" => _ = body.insert(name.clone(), value.clone()),
            "verbosity" => _ = text.insert(name.clone(), value.clone()),
            "logprobs" => include.push(LIKELIHOODS),
            "top_logprobs" => _ = body.insert(name.clone(), value.clone()),
            "logit_bias" => return Err(unsupported("logit_bias", "the upstream of this model has no such bias")),
            _ => dropped.push(name.clone()),
        }
    }
    put(&mut body, "include", (!include.is_empty()).then_some(include));
    put(&mut body, "text", (!text.is_empty()).then_some(text));
    Ok(Value::Object(body))
}

fn write_tool(tool: &Tool) -> Value {
    let mut written = object(json!({"type": "function", "name": tool.name, "description": tool.description}));
    written["parameters"] = tool.parameters.clone().unwrap_or_else(|| json!({"type": "object", "properties": {}}));
    // Left out it would mean yes, which no client of another dialect has asked for.
    written["strict"] = tool.strict.unwrap_or(false).into();
    written
}

fn write_choice(choice: &ToolChoice) -> Value {
    match choice {
        ToolChoice::Auto => "auto".into(),
        ToolChoice::Never => "none".into(),
        ToolChoice::Any => "required".into(),
        ToolChoice::One(name) => json!({"type": "function", "name": name}),
    }
}

fn write_format(format: &Format) -> Value {
    match format {
        Format::Json => json!({"type": "json_object"}),
        Format::Schema { name, description, schema, strict } => object(json!({
            "type": "json_schema", "name": name.as_deref().unwrap_or("answer"), "description": description,
            "schema": schema, "strict": strict,
        })),
    }
}

fn write_turn(turn: &Turn, input: &mut Vec<Value>, dropped: &mut Vec<String>) {
    if turn.name.is_some() {
        dropped.push("messages.name".to_owned());
    }
    let role = match turn.role {
        Role::System => "system",
        Role::Developer => "developer",
        Role::User => "user",
        Role::Assistant => "assistant",
    };
    let mut said = Vec::new();
    for block in &turn.blocks {
        let item = match block {
            Block::Thinking(thought) => match write_thought(thought) {
                Some(item) => item,
                None => {
                    dropped.push("reasoning".to_owned());
                    continue;
                }
            },
            Block::Call(Call { id, name, arguments }) => {
                let arguments = if arguments.is_empty() { "{}" } else { arguments.as_str() };
                json!({"type": "function_call", "call_id": id, "name": name, "arguments": arguments})
            }
            Block::Result { id, blocks, failed } => {
                if *failed {
                    dropped.push("tool_result.is_error".to_owned());
                }
                let output = only_text(blocks).map_or_else(|| write_parts(blocks, false, dropped), Value::from);
                json!({"type": "function_call_output", "call_id": id, "output": output})
            }
            other => {
                said.push(other.clone());
                continue;
            }
        };
        write_message(role, &mut said, input, dropped);
        input.push(item);
    }
    write_message(role, &mut said, input, dropped);
}

fn write_message(role: &str, said: &mut Vec<Block>, input: &mut Vec<Value>, dropped: &mut Vec<String>) {
    if said.is_empty() {
        return;
    }
    let content = write_parts(&std::mem::take(said), role == "assistant", dropped);
    input.push(json!({"type": "message", "role": role, "content": content}));
}

/// Reasoning that its vendor knows again; any other it does not take.
fn write_thought(thought: &Thought) -> Option<Value> {
    let Some(Proof::Encrypted { id, content }) = &thought.proof else { return None };
    let mut item = json!({"type": "reasoning", "summary": [], "encrypted_content": content});
    if !id.is_empty() {
        item["id"] = id.clone().into();
    }
    if !thought.text.is_empty() {
        item["summary"] = json!([{"type": "summary_text", "text": thought.text}]);
    }
    Some(item)
}

fn write_parts(blocks: &[Block], own: bool, dropped: &mut Vec<String>) -> Value {
    let parts = blocks.iter().filter_map(|block| {
        Some(match block {
            Block::Text { text, cache } => {
                dropped.extend(cache.as_ref().map(|_| "cache_control".to_owned()));
                json!({"type": if own { "output_text" } else { "input_text" }, "text": text})
            }
            Block::Refusal(text) => json!({"type": "refusal", "refusal": text}),
            Block::Image(image) => {
                let detail = match image {
                    Image::Url { detail: Some(detail), .. } => detail.as_str(),
                    _ => "auto",
                };
                json!({"type": "input_image", "image_url": image_url(image), "detail": detail})
            }
            Block::Document(document) => {
                let mut part = file(document);
                part.insert("type".to_owned(), "input_file".into());
                Value::Object(part)
            }
            Block::Thinking(_) | Block::Call(_) | Block::Result { .. } => return None,
        })
    });
    parts.collect()
}
